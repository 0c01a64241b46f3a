//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
)

// upPatience is how long a cluster may take to become ready once its programs are there.
const upPatience = 2 * time.Minute

// Lab is a cluster that runs.
type Lab struct {
	options Options
	paths   paths
	state   state
	anchor  *spawned // nil when another process started it
}

// Up starts a lab and returns when its nodes are ready. It fails if a lab of that name runs.
func Up(ctx context.Context, o Options) (*Lab, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if !initialised {
		return nil, errors.New("lab.Init was not called at the start of main or TestMain")
	}
	if err := requireRoot(); err != nil {
		return nil, err
	}
	if err := ensurePackages(ctx, o); err != nil {
		return nil, err
	}
	source, err := sourceDir(ctx)
	if err != nil {
		return nil, err
	}
	binaries, err := ensureBinaries(ctx, o, source)
	if err != nil {
		return nil, err
	}
	return start(ctx, o, source, binaries)
}

// Attach finds a lab that runs. Only Name and Log of the options count. The error is ErrNotRunning if there is none.
func Attach(_ context.Context, o Options) (*Lab, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if err := requireRoot(); err != nil {
		return nil, err
	}
	p := paths{o.Name}
	s, err := readState(p)
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", o.Name, err)
	}
	if !s.Anchor.alive() {
		return nil, fmt.Errorf("lab %s: %w", o.Name, ErrNotRunning)
	}
	o.Nodes, o.ProxyMode, o.Detached = s.Nodes, s.ProxyMode, s.Detached
	return &Lab{options: o, paths: p, state: s}, nil
}

// Down ends the lab and removes all that it left.
func (l *Lab) Down(ctx context.Context) error {
	err := l.state.Anchor.kill(ctx)
	if l.anchor != nil {
		l.anchor.release()
		l.anchor.cmd.Wait() // it was killed
		l.anchor = nil
	}
	return errors.Join(err, Remove(ctx, l.options))
}

// Remove ends the lab of a name if it runs, and removes all that it left if it crashed.
func Remove(ctx context.Context, o Options) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	p := paths{o.Name}
	if s, err := readState(p); err == nil {
		if err := s.Anchor.kill(ctx); err != nil {
			return fmt.Errorf("end lab %s: %w", o.Name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	lock, err := lockDead(ctx, p)
	if err != nil {
		return err
	}
	defer unlockLab(lock)
	if err := removeLeftovers(ctx, p); err != nil {
		return fmt.Errorf("clean up after lab %s: %w", o.Name, err)
	}
	return nil
}

// lockDead takes the lock of a lab that ends right now.
func lockDead(ctx context.Context, p paths) (lock *os.File, err error) {
	err = eventually(ctx, "lock "+p.lock(), func(context.Context) error {
		lock, err = lockLab(p)
		return err
	})
	return lock, err
}

// Name returns the lab's name.
func (l *Lab) Name() string { return l.options.Name }

// Dir returns the folder of all its files: logs, kubeconfigs, sockets.
func (l *Lab) Dir() string { return l.paths.dir() }

// ProxyMode returns the mode of its kube-proxies.
func (l *Lab) ProxyMode() ProxyMode { return l.options.ProxyMode }

// Nodes returns the names of its nodes.
func (l *Lab) Nodes() []string {
	var names []string
	for n := 1; n <= l.options.Nodes; n++ {
		names = append(names, NodeName(n))
	}
	return names
}

func start(ctx context.Context, o Options, source, binaries string) (_ *Lab, err error) {
	began := time.Now()
	p := paths{o.Name}
	lock, err := lockOrphan(ctx, o, p)
	if err != nil {
		return nil, err
	}
	l := &Lab{options: o, paths: p, state: state{Nodes: o.Nodes, ProxyMode: o.ProxyMode, Detached: o.Detached, Binaries: binaries}}
	if err := l.openAnchor(ctx, lock); err != nil {
		unlockLab(lock)
		return nil, fmt.Errorf("start lab %s: %w", o.Name, err)
	}
	lock.Close() // the anchor has it
	if err := l.bringUp(ctx, source); err != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("start lab %s: %w", o.Name, l.withLog(err)), l.Down(late))
	}
	o.logf("Lab %s is up after %s.", o.Name, time.Since(began).Round(100*time.Millisecond))
	return l, nil
}

// lockOrphan takes the lab's lock. One that outlived its creator by a moment is waited for.
func lockOrphan(ctx context.Context, o Options, p paths) (*os.File, error) {
	lock, err := lockLab(p)
	if !errors.Is(err, errLocked) {
		return lock, err
	}
	s, err := readState(p)
	if err == nil && !s.Detached && !s.Creator.alive() {
		if err := s.Anchor.kill(ctx); err != nil {
			return nil, fmt.Errorf("end orphaned lab %s: %w", o.Name, err)
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return lockDead(ctx, p)
	}
	return nil, fmt.Errorf("a lab named %q runs already, or is being started: end it with `make lab-down`, or use another name", o.Name)
}

// openAnchor clears the ground and makes the process that all others live in.
func (l *Lab) openAnchor(ctx context.Context, lock *os.File) error {
	if err := removeLeftovers(ctx, l.paths); err != nil {
		return err
	}
	for _, dir := range append([]string{"logs"}, l.Nodes()...) {
		if err := os.MkdirAll(l.paths.in(dir), 0o755); err != nil {
			return err
		}
	}
	var err error
	if l.state.Link, err = chooseHostLink(l.paths); err != nil {
		return err
	}
	if l.state.Creator, err = identify(os.Getpid()); err != nil {
		return err
	}
	if l.anchor, err = spawnAnchor(l.paths, lock); err != nil {
		return fmt.Errorf("start anchor: %w", err)
	}
	l.state.Anchor = l.anchor.process
	return l.state.write(l.paths)
}

// bringUp fills a lab that is only an anchor.
func (l *Lab) bringUp(ctx context.Context, source string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, upPatience, fmt.Errorf("not ready after %s", upPatience))
	defer cancel()
	if err := raiseLimits(); err != nil {
		return err
	}
	if err := l.call("AddHosts", append(hostNames(l.options.Nodes), fabric), &None{}); err != nil {
		return err
	}
	if err := l.buildNetwork(); err != nil {
		return err
	}
	if err := l.addHostLink(); err != nil {
		return err
	}
	if err := l.writeCredentials(); err != nil {
		return err
	}
	l.options.logf("Starting the control plane and %d nodes.", l.options.Nodes)
	if err := l.startCluster(ctx, source); err != nil {
		return err
	}
	if l.options.Detached {
		if err := l.call("Detach", None{}, &None{}); err != nil {
			return err
		}
	}
	return nil
}

// startCluster starts all components, in parallel as far as they bear it.
func (l *Lab) startCluster(ctx context.Context, source string) error {
	client, err := l.clientset()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.watchExits(ctx) })
	g.Go(func() error { return l.startImages(ctx, source) })
	g.Go(func() error {
		defer cancel()
		return l.startKubernetes(ctx, client)
	})
	return g.Wait()
}

func (l *Lab) startKubernetes(ctx context.Context, client kubernetes.Interface) error {
	if err := l.run(l.etcd(), l.apiServer()); err != nil {
		return err
	}
	if err := l.createNodes(ctx, client); err != nil {
		return err
	}
	if err := l.run(l.controllerManager(), l.scheduler()); err != nil {
		return err
	}
	for n := 1; n <= l.options.Nodes; n++ {
		if err := l.run(node{l, n}.kubelet(), node{l, n}.proxy()); err != nil {
			return err
		}
	}
	return l.waitReady(ctx, client)
}
