package node

import (
	"context"
	"time"
)

// A part is a Runnable that can be ended before the others, which run on.
type part struct {
	run func(context.Context) error
	// bye is closed when it is to end, and left when it has.
	bye, left chan struct{}
}

func newPart(run func(context.Context) error) *part {
	return &part{run: run, bye: make(chan struct{}), left: make(chan struct{})}
}

// NeedLeaderElection reports that it runs on every node.
func (p *part) NeedLeaderElection() bool { return false }

// Start runs it until ctx ends or it is ended.
func (p *part) Start(ctx context.Context) error {
	defer close(p.left)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.bye:
			cancel()
		case <-ctx.Done():
		}
	}()
	return p.run(ctx)
}

// end ends it, once, and waits for that, at most until a deadline.
func (p *part) end(deadline time.Time) {
	close(p.bye)
	select {
	case <-p.left:
	case <-time.After(time.Until(deadline)):
	}
}
