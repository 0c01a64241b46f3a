package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/metrics"
	"github.com/fairlead-lb/fairlead/speaker/agent"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/arp"
	"github.com/fairlead-lb/fairlead/speaker/ndp"
	"github.com/fairlead-lb/fairlead/speaker/responder"
	"github.com/fairlead-lb/fairlead/speaker/status"
)

// component names the speakers in events.
const component = "fairlead-speaker"

// How many packets a speaker sends unasked, by ARP and NDP together, so that thousands of addresses
// gained at once do not flood the network: many switches limit how much ARP they look at.
const (
	unaskedPerSecond = 1000
	unaskedAtOnce    = 500
)

// everyNode is a Runnable that runs without being the leader.
type everyNode func(context.Context) error

func (f everyNode) Start(ctx context.Context) error { return f(ctx) }
func (everyNode) NeedLeaderElection() bool          { return false }

// speaker is everything that runs on a node.
type speaker struct {
	options
	log logr.Logger
	mgr manager.Manager
	// arp and ndp answer for the IPv4 and the IPv6 addresses.
	arp, ndp *responder.Responder
	writer   *status.Writer
	own      *status.Speaker
	agent    *agent.Agent

	// last is the latest decision; nil before the first.
	last atomic.Pointer[agent.Decided]
	// stopping is set when the speaker is about to hand over.
	stopping atomic.Bool
}

// run wires the speaker and runs it until ctx ends and others have taken over.
func run(ctx context.Context, o options) error {
	log, err := kube.Logger(os.Stderr, o.logLevel)
	if err != nil {
		return err
	}
	rc, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	mgr, err := kube.NewManager(rc, kube.ManagerOptions{
		MetricsAddress: o.metricsAddress, HealthAddress: o.healthAddress,
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Service{}:            {Transform: kube.TrimService},
			&corev1.Node{}:               {Transform: kube.TrimNode},
			&discoveryv1.EndpointSlice{}: {Transform: kube.TrimEndpointSlice},
		}},
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	s := &speaker{options: o, log: log.WithValues("node", o.node), mgr: mgr}
	if err := s.wire(); err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		defer stop()
		<-ctx.Done()
		s.handOver()
	}()
	return mgr.Start(serving)
}

// wire makes the parts, leaves first, and adds them to the manager.
func (s *speaker) wire() error {
	c := s.mgr.GetClient()
	recorder, err := kube.NewRecorder(s.mgr, component)
	if err != nil {
		return fmt.Errorf("make the recorder of events: %w", err)
	}
	budget := rate.NewLimiter(unaskedPerSecond, unaskedAtOnce)
	s.arp = responder.New(arp.Protocol{}, responder.Options{Log: s.log.WithName("arp"), Changed: s.report, Budget: budget})
	s.ndp = responder.New(ndp.Protocol{}, responder.Options{Log: s.log.WithName("ndp"), Changed: s.report, Budget: budget})
	s.writer = status.NewWriter(c, recorder, s.node, s.log.WithName("status"))
	s.own = status.NewSpeaker(c, s.node, s.log.WithName("status"))
	s.agent = agent.New(agent.Options{
		Node: s.node, Class: s.class, IgnoreExclude: s.ignoreExclude, Namespace: s.namespace, Service: s.service,
		Log: s.log.WithName("agent"), Apply: s.apply, Seen: s.writer.Seen,
	})
	metrics.NewSpeaker(ctrlmetrics.Registry, metrics.Speaker{
		Announced: func() int { n, _ := s.observed(); return n },
		ARP:       packets(&s.arp.Stats), NDP: packets(&s.ndp.Stats),
	})
	watch := func(ctx context.Context) error { return s.agent.Watch(ctx, s.mgr.GetCache()) }
	for _, r := range []manager.Runnable{s.agent, s.writer, s.own, everyNode(s.arp.Run), everyNode(s.ndp.Run), everyNode(watch)} {
		if err := s.mgr.Add(r); err != nil {
			return err
		}
	}
	if err := s.mgr.AddHealthzCheck("deciding", func(r *http.Request) error { return s.agent.Alive(r.Context()) }); err != nil {
		return err
	}
	return s.mgr.AddReadyzCheck("announcing", s.ready)
}

func packets(s *responder.Stats) metrics.Packets {
	return metrics.Packets{
		Requests: s.Requests.Load, Replies: s.Replies.Load, Claims: s.Claims.Load, Probes: s.Probes.Load,
		Conflicts: s.Conflicts.Load, Errors: s.Errors.Load,
	}
}

// apply hands a decision to those who act upon it.
func (s *speaker) apply(d agent.Decided) {
	s.last.Store(&d)
	desired := responder.Desired{Links: d.Links}
	for _, a := range d.Plan.L2(s.node) {
		desired.Addresses = append(desired.Addresses, responder.Address{Addr: a.Address, Links: a.Links})
	}
	s.arp.Set(desired)
	s.ndp.Set(desired)
	s.writer.Set(d.Plan, d.View.Nodes, d.Announced)
	s.report()
}

// observed joins what the responders do: how many addresses are announced, and, by link
// and protocol, what is wrong.
func (s *speaker) observed() (announced int, errs map[string]string) {
	errs = map[string]string{}
	for _, r := range []*responder.Responder{s.arp, s.ndp} {
		seen := r.Observed()
		announced += len(seen.Answering)
		for name, err := range seen.Errors {
			errs[name+" ("+r.Protocol().Name()+")"] = err
		}
	}
	return announced, errs
}

// report has the SpeakerStatus say what is known now.
func (s *speaker) report() {
	d := s.last.Load()
	if d == nil {
		return
	}
	var links []announce.Link
	for i := range d.View.Nodes {
		if n := &d.View.Nodes[i]; n.Name == s.node {
			links = n.Links
		}
	}
	announced, errs := s.observed()
	s.own.Set(status.Own{Links: links, Announced: announced, Errors: errs})
}

// What a speaker that is not ready says of itself.
var (
	errUndecided = errors.New("the objects of the cluster are not read yet")
	errStopping  = errors.New("stopping")
)

// ready reports whether the speaker announces all that it should.
func (s *speaker) ready(*http.Request) error {
	switch _, errs := s.observed(); {
	case s.stopping.Load():
		return errStopping
	case s.last.Load() == nil:
		return errUndecided
	case len(errs) > 0:
		return fmt.Errorf("%d links are not served", len(errs))
	default:
		return nil
	}
}

// grace is how long to go on after the last address was taken over: neighbours
// may still ask while they learn of it.
const grace = time.Second

// handOver goes on announcing until other nodes have taken over, which they do as
// soon as the API server tells them that this speaker terminates; at most for shutdownDelay.
func (s *speaker) handOver() {
	s.stopping.Store(true)
	s.log.Info("stopping: handing over")
	deadline := time.Now().Add(s.shutdownDelay)
	free := time.Now()
	for now := free; now.Before(deadline) && now.Sub(free) < grace; now = time.Now() {
		if d := s.last.Load(); d != nil && len(d.Plan.L2(s.node)) > 0 {
			free = now
		}
		time.Sleep(20 * time.Millisecond)
	}
}
