package status

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/latest"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// gather is how long changes of a node's own status are gathered before it is written.
const gather = 200 * time.Millisecond

// retry is how long to wait after a write that failed.
const retry = 2 * time.Second

// Own is what a speaker says of its own node.
type Own struct {
	// Version of the speaker.
	Version   string
	Links     []announce.Link
	Announced int
	// Conflicts are those that this node has found, sorted.
	Conflicts []kube.Conflict
	// Lost are the other nodes that do not answer, sorted by name.
	Lost []v1beta1.LostNode
	// Errors say of a link and protocol, by name, why it is not served.
	Errors map[string]string
	// Gossip says why this speaker and the others do not talk to each other; nil where they do.
	Gossip error
	// ARP is how the kernel answers ARP; nil while that is not known.
	ARP *ARP
	// Kept is how open connections are kept when an address moves; nil where they are not to be.
	Kept *Kept
}

// A Speaker writes the SpeakerStatus of its node.
type Speaker struct {
	client   client.Client
	recorder events.EventRecorder
	node     string
	log      logr.Logger
	own      *latest.Value[Own]
}

// NewSpeaker returns a Speaker for a node.
func NewSpeaker(c client.Client, recorder events.EventRecorder, node string, log logr.Logger) *Speaker {
	return &Speaker{client: c, recorder: recorder, node: node, log: log, own: latest.New[Own]()}
}

// Set says what is to be written. It does not block; the last call wins.
func (s *Speaker) Set(o Own) { s.own.Set(o) }

// NeedLeaderElection reports that every speaker writes for its own node.
func (s *Speaker) NeedLeaderElection() bool { return false }

// Start writes until ctx ends.
func (s *Speaker) Start(ctx context.Context) error {
	var again <-chan time.Time
	var lost []v1beta1.LostNode
	var why kube.Reason
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.own.News():
			again = time.After(gather)
			if now := s.own.Get().Lost; !slices.Equal(lost, now) { // pods are waiting to be taken out of rotation
				lost, again = now, time.After(0)
			}
		case <-again:
			again = nil
			err := s.write(ctx, *s.own.Get())
			if apierrors.IsConflict(err) {
				again = time.After(gather)
				continue
			}
			if why.Info(s.log, "could not write the SpeakerStatus, trying again", err); err != nil {
				again = time.After(retry)
			}
		}
	}
}

// write creates the SpeakerStatus if there is none, and patches what has changed.
func (s *Speaker) write(ctx context.Context, o Own) error {
	var before v1beta1.SpeakerStatus
	err := s.client.Get(ctx, types.NamespacedName{Name: s.node}, &before)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get: %w", err)
	}
	if err != nil {
		if before, err = s.create(ctx); err != nil {
			return err
		}
	}
	after := before.DeepCopy()
	events := fill(&after.Status, o)
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	// With a lock on the version, so that what an event reports happened just now.
	patch := client.MergeFromWithOptions(&before, client.MergeFromWithOptimisticLock{})
	if err := s.client.Status().Patch(ctx, after, patch); err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	for _, e := range events {
		s.recorder.Eventf(after, nil, e.kind, e.reason, "Announce", "%s", e.message)
	}
	return nil
}

// create makes the SpeakerStatus, which goes when its Node goes.
func (s *Speaker) create(ctx context.Context) (v1beta1.SpeakerStatus, error) {
	owner, err := ownedByNode(ctx, s.client, s.node)
	if err != nil {
		return v1beta1.SpeakerStatus{}, err
	}
	status := v1beta1.SpeakerStatus{ObjectMeta: metav1.ObjectMeta{Name: s.node, OwnerReferences: owner}}
	if err := s.client.Create(ctx, &status); err != nil {
		return status, fmt.Errorf("create: %w", err)
	}
	return status, nil
}

// ownedByNode has what a speaker writes of its node go when the Node goes.
func ownedByNode(ctx context.Context, c client.Reader, name string) ([]metav1.OwnerReference, error) {
	var node corev1.Node
	if err := c.Get(ctx, types.NamespacedName{Name: name}, &node); err != nil {
		return nil, fmt.Errorf("get Node: %w", err)
	}
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}, nil
}

// How many interfaces, conflicts and lost nodes a SpeakerStatus may have, and how long the text may be that names the interfaces.
const (
	maxInterfaces = 256
	maxConflicts  = 128
	maxLost       = 256
	maxNames      = 256
)

// interfaceNames names interfaces for a column, which can show no list.
func interfaceNames(links []announce.Link) string {
	names := make([]string, len(links))
	for i := range links {
		names[i] = links[i].Name
	}
	text := strings.Join(names, ",")
	if len(text) > maxNames {
		text = text[:maxNames-1] + "*"
	}
	return text
}

// fill puts into a status what is to be said, and returns the events of that.
func fill(s *v1beta1.SpeakerStatusStatus, o Own) []event {
	s.Version, s.Interfaces = o.Version, nil
	for _, l := range o.Links[:min(len(o.Links), maxInterfaces)] {
		i := v1beta1.SpeakerInterface{Name: l.Name, MAC: l.MAC.String(), MTU: int32(l.MTU), DefaultRoutes: l.DefaultRoutes}
		for _, p := range l.Subnets {
			i.Subnets = append(i.Subnets, p.String())
		}
		s.Interfaces = append(s.Interfaces, i)
	}
	s.InterfaceNames = interfaceNames(o.Links)
	s.AnnouncedAddresses, s.Conflicts = int32(o.Announced), nil
	for _, c := range o.Conflicts[:min(len(o.Conflicts), maxConflicts)] {
		s.Conflicts = append(s.Conflicts, v1beta1.AddressConflict{
			Address: c.Addr.String(), Namespace: c.Namespace, Service: c.Service, MAC: c.MAC, Interface: c.Link, BeforeUse: c.Before,
		})
	}
	s.LostNodes = slices.Clone(o.Lost[:min(len(o.Lost), maxLost)])
	meta.SetStatusCondition(&s.Conditions, ready(o.Errors))
	meta.SetStatusCondition(&s.Conditions, connected(o.Gossip))
	if o.Kept == nil {
		meta.RemoveStatusCondition(&s.Conditions, v1beta1.ConditionKeepsConnections)
	} else {
		meta.SetStatusCondition(&s.Conditions, o.Kept.condition())
	}
	return renderARP(&s.Conditions, o.ARP)
}

// connected says whether nodes that are lost are noticed at once.
func connected(err error) metav1.Condition {
	if err == nil {
		return metav1.Condition{Type: v1beta1.ConditionConnected, Status: metav1.ConditionTrue, Reason: "Connected", Message: "the speakers talk to each other"}
	}
	return metav1.Condition{
		Type: v1beta1.ConditionConnected, Status: metav1.ConditionFalse, Reason: "NotConnected",
		Message: "lost nodes are noticed by the API server only: " + err.Error(),
	}
}

// Kept is how open connections are kept when an address moves.
type Kept struct {
	// Error says why they are not; nil if they are.
	Error error
}

func (k *Kept) condition() metav1.Condition {
	c := metav1.Condition{
		Type: v1beta1.ConditionKeepsConnections, Status: metav1.ConditionTrue, Reason: "Keeping", Message: "open connections go on when an address moves",
	}
	if k.Error != nil {
		c.Status, c.Reason = metav1.ConditionFalse, "NotKeeping"
		c.Message = "open connections are cut when an address moves: " + k.Error.Error()
	}
	return c
}

func ready(errs map[string]string) metav1.Condition {
	c := metav1.Condition{Type: v1beta1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Announcing", Message: "all that is to be announced is"}
	if len(errs) == 0 {
		return c
	}
	c.Status, c.Reason = metav1.ConditionFalse, "LinkFailed"
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		parts = append(parts, name+": "+errs[name])
	}
	c.Message = strings.Join(parts, "; ")
	return c
}
