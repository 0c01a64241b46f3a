//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
)

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
	lock, err := lockOrphan(ctx, o, paths{o.Name})
	if err != nil {
		return nil, err
	}
	l, err := start(ctx, o, lock)
	if err != nil {
		return nil, fmt.Errorf("start lab %s: %w", o.Name, err)
	}
	return l, nil
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

// Down ends the lab and removes all that it left. It leaves a later lab of the same name alone.
func (l *Lab) Down(ctx context.Context) error {
	if err := l.state.Anchor.kill(ctx); err != nil {
		return fmt.Errorf("end lab %s: %w", l.options.Name, err)
	}
	if l.anchor != nil {
		l.anchor.release()
		l.anchor.cmd.Wait() // it was killed
		l.anchor = nil
	}
	if s, err := readState(l.paths); err == nil && s.Anchor != l.state.Anchor {
		return nil
	}
	return Remove(ctx, l.options)
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
	lock, err := lockDead(ctx, p)
	if err != nil {
		return fmt.Errorf("end lab %s: %w", o.Name, err)
	}
	defer unlockLab(lock)
	if err := removeLeftovers(ctx, p); err != nil {
		return fmt.Errorf("clean up after lab %s: %w", o.Name, err)
	}
	return nil
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
