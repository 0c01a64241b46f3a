package status

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/latest"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// sliceSize is how many addresses an AnnouncementSlice has at most.
const sliceSize = 500

// sliceInterval is how long what changes is gathered before AnnouncementSlices are written.
const sliceInterval = time.Second

// Slices writes the AnnouncementSlices of its node.
type Slices struct {
	// Client writes; Live reads, once.
	Client client.Client
	Live   client.Reader
	Node   string
	Log    logr.Logger

	tasks *latest.Value[[]announce.Task]
	now   func() time.Time
}

// NewSlices returns the Slices of a node.
func NewSlices(c client.Client, live client.Reader, node string, log logr.Logger) *Slices {
	return &Slices{Client: c, Live: live, Node: node, Log: log, tasks: latest.New[[]announce.Task](), now: time.Now}
}

// Set says what the node does. It does not block; the last call wins.
func (s *Slices) Set(tasks []announce.Task) { s.tasks.Set(tasks) }

// NeedLeaderElection reports that every speaker writes for its own node.
func (s *Slices) NeedLeaderElection() bool { return false }

// Start writes until ctx ends.
func (s *Slices) Start(ctx context.Context) error {
	var again <-chan time.Time
	var have []v1beta1.AnnouncementSlice
	read := false
	var why kube.Reason
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.tasks.News():
			if again == nil {
				again = time.After(sliceInterval)
			}
			continue
		case <-again:
			again = nil
		}
		err := error(nil)
		if !read {
			have, err = s.read(ctx)
			read = err == nil
		}
		if err == nil {
			have, err = s.write(ctx, have)
		}
		if why.Info(s.Log, "could not write the AnnouncementSlices, trying again", err); err != nil {
			read = false // somebody else may have changed them
			again = time.After(retry)
		}
	}
}

func (s *Slices) read(ctx context.Context) ([]v1beta1.AnnouncementSlice, error) {
	var list v1beta1.AnnouncementSliceList
	if err := s.Live.List(ctx, &list, client.MatchingLabels{v1beta1.AnnouncementSliceNodeLabel: s.Node}); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return list.Items, nil
}

// write makes the slices say what the node does, and returns them as they are then.
func (s *Slices) write(ctx context.Context, have []v1beta1.AnnouncementSlice) ([]v1beta1.AnnouncementSlice, error) {
	want := pack(have, *s.tasks.Get(), sliceSize, metav1.NewTime(s.now()))
	var out []v1beta1.AnnouncementSlice
	for n, list := range want {
		name := s.Node + "-" + strconv.Itoa(n)
		i := slices.IndexFunc(have, func(o v1beta1.AnnouncementSlice) bool { return o.Name == name })
		switch {
		case i < 0 && len(list) > 0:
			made, err := s.create(ctx, name, list)
			if err != nil {
				return out, err
			}
			out = append(out, made)
		case i < 0:
		case len(list) == 0:
			if err := s.Client.Delete(ctx, &have[i]); client.IgnoreNotFound(err) != nil {
				return out, fmt.Errorf("delete: %w", err)
			}
		default:
			after := *have[i].DeepCopy()
			if after.Announcements, after.Count = list, int32(len(list)); !equality.Semantic.DeepEqual(have[i].Announcements, list) {
				if err := s.Client.Update(ctx, &after); err != nil {
					return out, fmt.Errorf("update: %w", err)
				}
			}
			out = append(out, after)
		}
	}
	return out, nil
}

func (s *Slices) create(ctx context.Context, name string, list []v1beta1.AddressAnnouncement) (v1beta1.AnnouncementSlice, error) {
	owner, err := ownedByNode(ctx, s.Client, s.Node)
	if err != nil {
		return v1beta1.AnnouncementSlice{}, err
	}
	made := v1beta1.AnnouncementSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{v1beta1.AnnouncementSliceNodeLabel: s.Node}, OwnerReferences: owner,
		},
		Node: s.Node, Count: int32(len(list)), Announcements: list,
	}
	if err := s.Client.Create(ctx, &made); err != nil {
		return made, fmt.Errorf("create: %w", err)
	}
	return made, nil
}

// pack returns what each slice is to have, by its number. An address stays in the slice that has it,
// and keeps since when it is announced, so that a change of one is a write of one.
func pack(have []v1beta1.AnnouncementSlice, tasks []announce.Task, size int, now metav1.Time) [][]v1beta1.AddressAnnouncement {
	type place struct {
		slice int
		since metav1.Time
	}
	known := map[string]place{}
	out := [][]v1beta1.AddressAnnouncement{}
	for i := range have {
		n, err := strconv.Atoi(have[i].Name[strings.LastIndexByte(have[i].Name, '-')+1:])
		if err != nil || n < 0 || n > 1<<16 {
			continue
		}
		for len(out) <= n {
			out = append(out, nil)
		}
		for _, a := range have[i].Announcements {
			known[a.Address] = place{n, a.Since}
		}
	}
	var added []v1beta1.AddressAnnouncement
	for _, t := range tasks {
		if !t.Mode.Announced() {
			continue
		}
		a := v1beta1.AddressAnnouncement{Address: t.Addr.String(), Interfaces: t.Links, Since: now}
		at, ok := known[a.Address]
		if !ok {
			added = append(added, a)
			continue
		}
		a.Since = at.since
		out[at.slice] = append(out[at.slice], a)
	}
	for n := 0; len(added) > 0; n++ {
		if n == len(out) {
			out = append(out, nil)
		}
		room := min(max(size-len(out[n]), 0), len(added))
		out[n] = append(out[n], added[:room]...)
		added = added[room:]
		slices.SortFunc(out[n], func(a, b v1beta1.AddressAnnouncement) int { return address(a).Compare(address(b)) })
	}
	return out
}

func address(a v1beta1.AddressAnnouncement) netip.Addr {
	addr, _ := netip.ParseAddr(a.Address) // it was one before it was written
	return addr
}
