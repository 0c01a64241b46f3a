//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/fairlead-lb/fairlead/internal/debian"
)

// upPatience is how long a cluster may take to become ready once its programs are there.
const upPatience = 2 * time.Minute

// start makes a lab whose lock is held. It gives the lock to the lab's anchor, or up.
func start(ctx context.Context, o Options, lock *os.File) (*Lab, error) {
	l := &Lab{options: o, paths: paths{o.Name}, state: state{Nodes: o.Nodes, ProxyMode: o.ProxyMode, Detached: o.Detached}}
	source, err := l.prepare(ctx)
	if err != nil {
		unlockLab(lock)
		return nil, err
	}
	began := time.Now()
	if err := l.openAnchor(ctx, lock); err != nil {
		unlockLab(lock)
		return nil, err
	}
	lock.Close() // the anchor has it
	if err := l.bringUp(ctx, source); err != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanPatience)
		defer cancel()
		return nil, errors.Join(l.withLog(err), l.Down(late))
	}
	o.logf("Lab %s is up after %s.", o.Name, time.Since(began).Round(100*time.Millisecond))
	return l, nil
}

// prepare gets all that the lab is made of, and returns where this package's source is.
func (l *Lab) prepare(ctx context.Context) (source string, err error) {
	if err := debian.Ensure(ctx, l.options.logf, needed...); err != nil {
		return "", err
	}
	if source, err = sourceDir(ctx); err != nil {
		return "", err
	}
	l.state.Binaries, err = ensureBinaries(ctx, l.options, source)
	return source, err
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
	if err := makeCgroups(l.paths, l.Nodes()); err != nil {
		return err
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
	if err := l.state.write(l.paths); err != nil {
		return errors.Join(err, l.Down(ctx))
	}
	return nil
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
	l.options.logf("Starting the control plane and %s.", strings.Join(l.Nodes(), ", "))
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
	ctx, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.watchExits(ctx) })
	g.Go(func() error {
		defer stopWatching()
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return l.startImages(ctx, source) })
		g.Go(func() error { return l.startKubernetes(ctx, client) })
		return g.Wait()
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
