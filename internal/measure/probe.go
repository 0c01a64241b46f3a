package measure

import (
	"sync"
	"time"
)

// Probe tries something again and again.
type Probe struct {
	began time.Time
	quit  chan struct{}
	tries sync.WaitGroup

	mu                sync.Mutex
	attempts          []Attempt
	failed, succeeded time.Duration // when the last that did so began; -1 before
}

// Start tries something each interval, on time even while earlier tries hang.
func Start(every time.Duration, try func() error) *Probe {
	p := &Probe{began: time.Now(), quit: make(chan struct{}), failed: -1, succeeded: -1}
	p.tries.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-p.quit:
				return
			case <-tick.C:
				p.try(try)
			}
		}
	})
	return p
}

func (p *Probe) try(try func() error) {
	at := time.Since(p.began)
	p.mu.Lock()
	i := len(p.attempts)
	p.attempts = append(p.attempts, Attempt{At: at})
	p.mu.Unlock()
	p.tries.Go(func() {
		err := try()
		took := time.Since(p.began) - at
		p.mu.Lock()
		defer p.mu.Unlock()
		p.attempts[i].Took, p.attempts[i].Err = took, err
		if err != nil {
			p.failed = max(p.failed, at)
		} else {
			p.succeeded = max(p.succeeded, at)
		}
	})
}

// Recovered reports whether something failed, and for so long has not any more.
func (p *Probe) Recovered(since time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed >= 0 && p.succeeded-p.failed > since
}

// Stop begins no more attempts, waits for those that run, and returns all.
func (p *Probe) Stop() Attempts {
	close(p.quit)
	p.tries.Wait()
	return p.attempts
}
