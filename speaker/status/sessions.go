package status

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/latest"
)

// settle is how long changes of sessions are gathered before they are written: one that flaps shall not be written all the time.
const settle = time.Second

// A Session is what is known of the session with a peer.
type Session struct {
	// Peer is the name of the BGPPeer.
	Peer string
	// Address of the router; not valid while it is not known.
	Address netip.Addr
	// State as RFC 4271 names it.
	State string
	// Since is when State became what it is.
	Since time.Time
	// Error is why the session last ended or could not begin.
	Error string
	// BFD is the state of the BFD session; empty for none.
	BFD string
}

// established is the state in which routes are announced.
const established = "Established"

// Sessions writes the BGPStatus of a node.
type Sessions struct {
	client client.Client
	// live reads from the API server: speakers do not watch what all of them write.
	live     client.Reader
	recorder events.EventRecorder
	node     string
	log      logr.Logger
	all      *latest.Value[[]Session]
}

// NewSessions returns a writer for a node.
func NewSessions(c client.Client, live client.Reader, recorder events.EventRecorder, node string, log logr.Logger) *Sessions {
	return &Sessions{client: c, live: live, recorder: recorder, node: node, log: log, all: latest.New[[]Session]()}
}

// Set says what is to be written, sorted by peer. It does not block; the last call wins.
func (s *Sessions) Set(all []Session) { s.all.Set(all) }

// NeedLeaderElection reports that every speaker writes for its own node.
func (s *Sessions) NeedLeaderElection() bool { return false }

// Start writes until ctx ends.
func (s *Sessions) Start(ctx context.Context) error {
	var again <-chan time.Time
	var why kube.Reason
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.all.News():
			if again == nil {
				again = time.After(settle)
			}
		case <-again:
			again = nil
			err := s.write(ctx, *s.all.Get())
			if !apierrors.IsConflict(err) {
				why.Info(s.log, "could not write the BGPStatus, trying again", err)
			}
			if err != nil {
				again = time.After(retry)
			}
		}
	}
}

// write creates the BGPStatus if one is needed, and patches what has changed.
func (s *Sessions) write(ctx context.Context, all []Session) error {
	var before v1beta1.BGPStatus
	err := s.live.Get(ctx, types.NamespacedName{Name: s.node}, &before)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("get: %w", err)
	case err != nil && len(all) == 0:
		return nil
	case err != nil:
		owner, err := ownedByNode(ctx, s.client, s.node)
		if err != nil {
			return err
		}
		before = v1beta1.BGPStatus{ObjectMeta: metav1.ObjectMeta{Name: s.node, OwnerReferences: owner}}
		if err := s.client.Create(ctx, &before); err != nil {
			return fmt.Errorf("create: %w", err)
		}
	}
	after := before.DeepCopy()
	news := fillSessions(&after.Status, all)
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	// With a lock on the version, so that what an event reports happened just now.
	patch := client.MergeFromWithOptions(&before, client.MergeFromWithOptimisticLock{})
	if err := s.client.Status().Patch(ctx, after, patch); err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	for peer, e := range news {
		var about v1beta1.BGPPeer
		if err := s.client.Get(ctx, types.NamespacedName{Name: peer}, &about); err != nil {
			continue // it is gone, and with it who would read that
		}
		s.recorder.Eventf(&about, after, e.kind, e.reason, "Peer", "session with node %s %s", s.node, e.message)
	}
	return nil
}

// Reasons of events about sessions, in the vocabulary that users of MetalLB know.
const (
	eventSessionUp   = "SessionUp"
	eventSessionDown = "SessionDown"
)

// Bounds of what is reported.
const (
	maxSessions = 256
	maxError    = 256
)

// fillSessions puts sessions into a status, and returns the events that follow, by peer. Of a session that is not established, which of the
// other states it is in changes all the time: the first of them stays, with its time, until its error changes.
func fillSessions(s *v1beta1.BGPStatusStatus, all []Session) map[string]event {
	news := map[string]event{}
	before := map[string]v1beta1.BGPSession{}
	for _, x := range s.Sessions {
		before[x.Peer] = x
	}
	up := 0
	s.Sessions = nil
	for _, x := range all[:min(len(all), maxSessions)] {
		now := v1beta1.BGPSession{
			Peer: x.Peer, State: x.State, Since: metav1.NewTime(x.Since.Truncate(time.Second)), LastError: x.Error[:min(len(x.Error), maxError)], BFD: x.BFD,
		}
		if x.Address.IsValid() {
			now.Address = x.Address.String()
		}
		was, known := before[x.Peer]
		is := x.State == established
		if is {
			up++
		}
		if known && !is && was.State != established {
			now.Since = was.Since
			if was.LastError == now.LastError {
				now.State = was.State
			}
		}
		switch {
		case is && (!known || was.State != established):
			news[x.Peer] = event{corev1.EventTypeNormal, eventSessionUp, "is established"}
		case !is && known && was.State == established:
			news[x.Peer] = event{corev1.EventTypeWarning, eventSessionDown, "ended: " + x.Error}
		}
		s.Sessions = append(s.Sessions, now)
	}
	s.Summary = ""
	if len(all) > 0 {
		s.Summary = fmt.Sprintf("%d/%d", up, len(all))
	}
	return news
}
