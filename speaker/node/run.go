package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"sync"
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
	"github.com/fairlead-lb/fairlead/internal/version"
	"github.com/fairlead-lb/fairlead/speaker/agent"
	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/arp"
	"github.com/fairlead-lb/fairlead/speaker/bfd"
	"github.com/fairlead-lb/fairlead/speaker/bgp"
	"github.com/fairlead-lb/fairlead/speaker/flows"
	"github.com/fairlead-lb/fairlead/speaker/gossip"
	"github.com/fairlead-lb/fairlead/speaker/ndp"
	"github.com/fairlead-lb/fairlead/speaker/responder"
	"github.com/fairlead-lb/fairlead/speaker/status"
	"github.com/fairlead-lb/fairlead/speaker/strictarp"
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
	Options

	log logr.Logger
	mgr manager.Manager
	// arp and ndp answer for the IPv4 and the IPv6 addresses.
	arp, ndp *responder.Responder
	writer   *status.Writer
	own      *status.Speaker
	slices   *status.Slices
	sessions *status.Sessions
	kernel   *strictarp.Watcher
	agent    *agent.Agent
	gossip   *gossip.Gossip
	health   health
	// reporting and telling have one report after another, so that none replaces a later one's.
	reporting, telling sync.Mutex
	// bgp has sessions with routers, and bfd finds out whether they can be reached.
	bgp *bgp.Driver
	bfd *bfd.Driver
	// flows passes packets on of connections that other nodes have, and answers pings; nil where it is to do neither.
	flows *flows.Driver
	// reached are the peers that BFD reaches. Its goroutine owns it.
	reached map[string]bool
	// These end before the others do, in this order.
	talking, routing, detecting *part
	// duplicates counts how often another speaker was seen to announce what this one does.
	duplicates atomic.Uint64
	gains      gains

	// last is the latest decision; nil before the first. decided is sent to when there is another, if nobody has looked since.
	last    atomic.Pointer[agent.Decided]
	decided chan struct{}
	// stopping is set when the speaker is about to hand over.
	stopping atomic.Bool
}

// Run wires the speaker and runs it until ctx ends and it is not needed any more.
func Run(ctx context.Context, o Options) error {
	log, err := kube.Logger(os.Stderr, o.LogLevel)
	if err != nil {
		return err
	}
	build := version.Get()
	log.Info("starting", "node", o.Node, "version", build.Version, "commit", build.Commit, "go", build.Go)
	metrics.NewBuild(ctrlmetrics.Registry, build.Version, build.Commit, build.Go)
	rc, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	api := metrics.NewAPI(ctrlmetrics.Registry)
	mgr, err := kube.NewManager(rc, kube.ManagerOptions{
		Answered:       func(a kube.Answered) { api.Answered(a.Verb, a.Resource, a.Code, a.Took) },
		MetricsAddress: o.MetricsAddress, MetricsCertificates: o.MetricsCertificates, HealthAddress: o.HealthAddress, ProfileAddress: o.ProfileAddress,
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Service{}:            {Transform: kube.TrimToAnnounce},
			&corev1.Node{}:               {Transform: kube.TrimNode},
			&discoveryv1.EndpointSlice{}: {Transform: kube.TrimEndpointSlice},
			&corev1.Secret{}:             kube.OwnSecrets(o.Namespace),
		}},
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	s := &speaker{Options: o, log: log.WithValues("node", o.Node), mgr: mgr, reached: map[string]bool{}, decided: make(chan struct{}, 1)}
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
	s.arp = responder.New(arp.Protocol{}, responder.Options{Log: s.log.WithName("arp"), Changed: s.report, Seen: s.sighted, Budget: budget})
	s.ndp = responder.New(ndp.Protocol{}, responder.Options{Log: s.log.WithName("ndp"), Changed: s.report, Seen: s.sighted, Budget: budget})
	s.writer = status.NewWriter(c, recorder, s.Node, s.log.WithName("status"))
	s.own = status.NewSpeaker(c, recorder, s.Node, s.log.WithName("status"))
	s.slices = status.NewSlices(c, s.mgr.GetAPIReader(), s.Node, s.log.WithName("status"))
	s.kernel = strictarp.New(os.DirFS(strictarp.Root), s.log.WithName("strictarp"), s.report)
	s.sessions = status.NewSessions(c, s.mgr.GetAPIReader(), recorder, s.Node, s.log.WithName("status"))
	s.gossip = gossip.New(gossip.Options{
		Node: s.Node, Port: uint16(s.GossipPort), Grace: s.RestartGrace, Log: s.log.WithName("gossip"), Changed: s.heard,
		Asked: s.asked, Answered: func(x gossip.Answer) { s.agent.Answered(x.Addr, x.From, x.Announces, x.Returning) },
	})
	s.bgp = bgp.New(bgp.Options{Log: s.log.WithName("bgp"), Changed: s.detect})
	s.bfd = bfd.New(bfd.Options{Log: s.log.WithName("bfd"), Changed: s.detected})
	if s.KeepConnections > 0 || s.AnswerPing {
		s.flows = flows.New(s.log.WithName("flows"), s.AnswerPing, s.report)
	}
	s.talking, s.routing, s.detecting = newPart(s.gossip.Run), newPart(s.bgp.Run), newPart(s.bfd.Run)
	s.agent = agent.New(agent.Options{
		Node: s.Node, Class: s.Class, IgnoreExclude: s.IgnoreExclude, YieldCordoned: s.YieldCordoned, Drain: s.BGPDrain,
		KeepConnections: s.KeepConnections, AnswerPing: s.AnswerPing,
		Namespace: s.Namespace, Service: s.Service,
		Log: s.log.WithName("agent"), Apply: s.apply, Seen: s.writer.Seen, Ask: s.gossip.Ask, Duplicate: func(node string) {
			s.duplicates.Add(1)
			s.log.Info("another speaker announces an address of this node", "peer", node)
		},
	})
	metrics.NewSpeaker(ctrlmetrics.Registry, s.MetricsPerAddress, s.numbers)
	metrics.NewEvents(ctrlmetrics.Registry, recorder.Dropped)
	s.gains.report = metrics.NewGains(ctrlmetrics.Registry).Gained
	metrics.NewBGP(ctrlmetrics.Registry, s.measured)
	watch := func(ctx context.Context) error { return s.agent.Watch(ctx, s.mgr.GetCache()) }
	runnables := []manager.Runnable{
		s.agent, s.writer, s.own, s.slices, s.sessions, everyNode(s.kernel.Run), everyNode(s.arp.Run), everyNode(s.ndp.Run), everyNode(watch),
		s.talking, s.routing, s.detecting,
	}
	if s.flows != nil {
		runnables = append(runnables, everyNode(s.flows.Run))
	}
	for _, r := range runnables {
		if err := s.mgr.Add(r); err != nil {
			return err
		}
	}
	alive := func(r *http.Request) error { return s.agent.Alive(r.Context()) }
	if err := s.mgr.AddHealthzCheck("deciding", kube.Checked(s.log, "deciding", alive)); err != nil {
		return err
	}
	return s.mgr.AddReadyzCheck("announcing", kube.Checked(s.log, "announcing", s.ready))
}

// apply hands a decision to those who act upon it.
func (s *speaker) apply(d agent.Decided) {
	changed := d.Changed
	if s.flows != nil { // before an address is announced here, as packets of its connections follow at once
		s.flows.Set(d.Passing)
	}
	s.route(&d)
	s.gains.expect(d.Gained, d.Tasks)
	d.Changed, d.Routes, d.Gained = nil, nil, nil // at first it is everything
	s.last.Store(&d)
	select {
	case s.decided <- struct{}{}:
	default:
	}
	desired := responder.Desired{Links: d.Links, Addresses: d.Tasks, Retell: d.Again}
	s.arp.Set(desired)
	s.ndp.Set(desired)
	s.writer.Set(s.updates(changed), d.Nodes)
	s.slices.Set(d.Tasks)
	s.kernel.Set(strictarp.Desired{IPVS: d.IPVS, Links: names(d.Links)})
	s.report()
}

// observed joins what the responders do: which addresses are announced, sorted, and, by link
// and protocol, what is wrong.
func (s *speaker) observed() (announced []netip.Addr, errs map[string]string) {
	errs = map[string]string{}
	for _, r := range []*responder.Responder{s.arp, s.ndp} {
		seen := r.Observed()
		announced = append(announced, seen.Answering...) // IPv4 sorts before IPv6
		for name, err := range seen.Errors {
			errs[name+" ("+r.Protocol().Name()+")"] = err
		}
	}
	return announced, errs
}

// kept returns how open connections are kept; nil where they are not to be.
func (s *speaker) kept() *status.Kept {
	if s.KeepConnections == 0 {
		return nil
	}
	return &status.Kept{Error: s.flows.Observed().Error}
}

// answering returns how this node's kernel answers ARP; nil while that is not known.
func (s *speaker) answering() *status.ARP {
	o := s.kernel.Observed()
	if o == nil {
		return nil
	}
	return &status.ARP{IPVS: o.IPVS, Lenient: o.Lenient}
}

// report has the SpeakerStatus, and the other speakers, say what is known now.
func (s *speaker) report() {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	d := s.last.Load()
	if d == nil {
		return
	}
	var links []announce.Link
	for i := range d.Nodes {
		if n := &d.Nodes[i]; n.Name == s.Node {
			links = n.Links
		}
	}
	announced, errs := s.observed()
	s.gains.answered(announced, time.Now())
	s.own.Set(status.Own{
		Version: version.Get().Version, Links: links, Announced: len(announced),
		Conflicts: d.Conflicts, Lost: s.lost(d), Errors: errs, Gossip: s.disconnected(d), ARP: s.answering(), Kept: s.kept(),
	})
	s.gossip.Set(gossip.Desired{
		Self: d.Self, Key: d.Key, Peers: d.Peers, Isolated: d.Isolated,
		Report: gossip.Report{Impaired: s.health.impaired(len(errs) > 0, s.report), Links: names(d.Links)},
	})
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
