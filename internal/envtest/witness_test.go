//go:build linux

package envtest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
)

// A witness sees every version of every Service, in order, and what may have
// been the cause. It accuses who gives an address to two, or takes one away
// without a cause.
type witness struct {
	mu sync.Mutex
	// shown is what each Service shows, and holders who shows each address, as they are now.
	shown   map[types.UID][]netip.Addr
	holders map[netip.Addr]map[types.UID]kube.Service
	// pools are as they are now, and active what may be active of them. Since the last quiet moment, some addresses were in no
	// active pool for a time, or not in one that a Service may ask for, and some Services were made to ask for something else.
	pools     map[string]*v1beta1.IPAddressPool
	active    coverage
	uncovered map[netip.Addr]bool
	left      map[membership]bool
	touched   map[client.ObjectKey]bool
	// rekeyed are Services that were made to share otherwise since the last quiet moment.
	rekeyed map[client.ObjectKey]bool

	faults []string
	lines  []string
	seen   int
	began  time.Time
}

// membership is an address in a pool.
type membership struct {
	pool string
	addr netip.Addr
}

func watch(s *stage) *witness {
	s.Helper()
	w := &witness{
		shown: map[types.UID][]netip.Addr{}, holders: map[netip.Addr]map[types.UID]kube.Service{}, rekeyed: map[client.ObjectKey]bool{},
		pools: map[string]*v1beta1.IPAddressPool{}, active: coverage{}, uncovered: map[netip.Addr]bool{}, left: map[membership]bool{},
		touched: map[client.ObjectKey]bool{}, began: time.Now(),
	}
	stream, err := s.api.Watch(s.Context(), &corev1.ServiceList{})
	s.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range stream.ResultChan() {
			if svc, ok := e.Object.(*corev1.Service); ok && svc.UID != s.probe.UID {
				w.see(svc, e.Type == apiwatch.Deleted)
			}
		}
	}()
	s.Cleanup(func() { stream.Stop(); <-done })
	return w
}

func (w *witness) see(svc *corev1.Service, deleted bool) {
	view := kube.ServiceOf(svc)
	now := view.Shown
	if deleted {
		now = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	before := w.shown[svc.UID]
	key := client.ObjectKeyFromObject(svc)
	if !slices.Equal(before, now) {
		w.linef("Service %s shows %v, showed %v", svc.Name, now, before)
	}
	for _, a := range before {
		if slices.Contains(now, a) {
			continue
		}
		delete(w.holders[a], svc.UID)
		if !deleted && !w.touched[key] && w.active.certain()[a] && !w.uncovered[a] && !w.left[membership{view.Pool, a}] && !w.waitsForAnother(&view, a) {
			w.accusef("Service %s lost %s, which is in a pool, and asked for nothing else", svc.Name, a)
		}
	}
	for _, a := range now {
		for _, other := range w.holders[a] {
			excused := w.rekeyed[key] || w.rekeyed[client.ObjectKey{Namespace: other.Namespace, Name: other.Name}]
			if !slices.Contains(before, a) && !share(&view, &other) && !excused {
				w.accusef("%s is given to %s while %s shows it", a, svc.Name, other.Name)
			}
		}
		if w.holders[a] == nil {
			w.holders[a] = map[types.UID]kube.Service{}
		}
		w.holders[a][svc.UID] = view
	}
	w.shown[svc.UID] = now
}

// waitsForAnother reports whether a Service asks for another address than one: it may have kept that one until it can have what it
// asks for, however long.
func (w *witness) waitsForAnother(s *kube.Service, a netip.Addr) bool {
	for name, p := range w.pools { // of two that have it, one is refused
		if s.Pool != "" && name != s.Pool && membersOf(p)[a] {
			return true
		}
	}
	rival := func(o netip.Addr) bool { return o.Is4() == a.Is4() }
	return slices.ContainsFunc(s.IPs, rival) && !slices.Contains(s.IPs, a)
}

// share reports whether two Services may show one address.
func share(a, b *kube.Service) bool {
	return a.Sharing != "" && a.Sharing == b.Sharing && a.Namespace == b.Namespace &&
		!slices.ContainsFunc(a.Ports, func(p kube.Port) bool { return slices.Contains(b.Ports, p) })
}

// rekey notes that a Service is about to be made to share otherwise. Whoever shares with it may
// have to go.
func (w *witness) rekey(key client.ObjectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rekeyed[key] = true
	for _, holders := range w.holders {
		concerned := false
		for _, s := range holders {
			concerned = concerned || s.Namespace == key.Namespace && s.Name == key.Name
		}
		for _, s := range holders {
			if concerned {
				w.touched[client.ObjectKey{Namespace: s.Namespace, Name: s.Name}] = true
			}
		}
	}
}

// touch notes that a Service is about to be made to ask for something else.
func (w *witness) touch(key client.ObjectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched[key] = true
}

// reconfigure notes that a pool is about to be as given, or gone.
func (w *witness) reconfigure(name string, p *v1beta1.IPAddressPool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, former := w.pools[name], w.active.certain()
	delete(w.pools, name)
	if p != nil {
		w.pools[name] = p.DeepCopy()
	}
	w.active.edit(name, p)
	now := w.active.certain()
	for _, all := range []map[netip.Addr]bool{former, now} { // what the controller knows not yet to be covered is not kept either
		for a := range all {
			w.uncovered[a] = w.uncovered[a] || !former[a] || !now[a]
		}
	}
	if before == nil {
		return
	}
	for a := range membersOf(before) {
		if p == nil || !membersOf(p)[a] {
			w.left[membership{name, a}] = true
		}
	}
}

// rest ends the time in which what has happened excuses what happens, and returns what is wrong.
func (w *witness) rest() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.touched)
	clear(w.rekeyed)
	clear(w.uncovered)
	clear(w.left)
	w.active.rest()
	w.linef("quiet")
	out := w.faults
	w.faults = nil
	return out
}

func (w *witness) accusef(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
	w.linef("WRONG: "+format, args...)
}

func (w *witness) notef(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.linef(format, args...)
}

func (w *witness) linef(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf("%7.3f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

func (w *witness) story(last int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines[max(0, len(w.lines)-last):], "\n")
}

func (w *witness) events() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}
