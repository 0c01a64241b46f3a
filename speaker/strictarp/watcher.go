package strictarp

import (
	"context"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/fairlead-lb/fairlead/internal/latest"
)

// interval is when to look again, as the kernel tells nobody of changed sysctls.
const interval = time.Minute

// Desired is where to look.
type Desired struct {
	// IPVS: kube-proxy has the addresses of Services on an interface of this node. There is nothing to look for else.
	IPVS bool
	// Links are the names of the interfaces on which neighbours may ask.
	Links []string
}

func (d *Desired) equal(o *Desired) bool { return d.IPVS == o.IPVS && slices.Equal(d.Links, o.Links) }

// Observed is what was seen.
type Observed struct {
	// IPVS is as it was desired, and Lenient are the interfaces on which the kernel answers for
	// those addresses, sorted.
	IPVS    bool
	Lenient []string
}

func (o *Observed) equal(p *Observed) bool {
	return o != nil && o.IPVS == p.IPVS && slices.Equal(o.Lenient, p.Lenient)
}

// A Watcher looks when the interfaces have changed, and once a minute where kube-proxy is in mode ipvs.
type Watcher struct {
	root     fs.FS
	log      logr.Logger
	changed  func()
	desired  *latest.Value[Desired]
	observed atomic.Pointer[Observed]
}

// New returns a Watcher of the settings below root. It calls changed when Observed has changed.
func New(root fs.FS, log logr.Logger, changed func()) *Watcher {
	return &Watcher{root: root, log: log, changed: changed, desired: latest.New[Desired]()}
}

// Set says where to look. It does not block; the last call wins.
func (w *Watcher) Set(d Desired) {
	if before := w.desired.Get(); before == nil || !before.equal(&d) {
		w.desired.Set(d)
	}
}

// Observed returns what was seen; nil before the first look.
func (w *Watcher) Observed() *Observed { return w.observed.Load() }

// Run looks until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.desired.News():
		case <-again:
		}
		d := w.desired.Get()
		w.look(d)
		if again = nil; d.IPVS {
			again = time.After(interval)
		}
	}
}

// look looks once. What cannot be read leaves what was seen before.
func (w *Watcher) look(d *Desired) {
	now := &Observed{IPVS: d.IPVS}
	if d.IPVS {
		var err error
		if now.Lenient, err = Lenient(w.root, d.Links); err != nil {
			w.log.Info("could not see how the kernel answers ARP, trying again", "reason", err.Error())
			return
		}
	}
	if !w.observed.Load().equal(now) {
		w.observed.Store(now)
		w.changed()
	}
}
