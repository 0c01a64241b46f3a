package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A Rebalance is which addresses other nodes are to announce by layer 2, so that all have about as many.
type Rebalance struct {
	// Before and After are how many each node announces.
	Before map[string]int `json:"before"`
	After  map[string]int `json:"after"`
	Moves  []Move         `json:"moves"`
	// Kept: connections that are open go on.
	Kept bool `json:"connectionsKept"`
	// Done: the moves were made, or are being made.
	Done bool `json:"done"`
}

// A Move is an address that another node is to announce.
type Move struct {
	// Service is the one whose record decides.
	Service string `json:"service"`
	Address string `json:"address"`
	From    string `json:"from"`
	To      string `json:"to"`

	key  announce.Key
	addr netip.Addr
}

// balance is what each node announces, while moves are being chosen.
type balance struct {
	*view

	at map[string][]netip.Addr // sorted, by node
	// stuck are pairs of nodes between which nothing can be moved.
	stuck map[[2]string]bool
}

// Rebalance chooses moves, as few as there can be, from the node with the most to the one with the fewest that may announce an address as
// well, until the numbers differ by one.
func (c *Cluster) Rebalance(most int) Rebalance {
	b := &balance{view: c.view(), at: map[string][]netip.Addr{}, stuck: map[[2]string]bool{}}
	for i := range b.nodes {
		if n := &b.nodes[i]; n.Ready && !n.Excluded && !n.Retiring && !n.NetworkUnavailable {
			b.at[n.Name] = nil
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(b.sharers), netip.Addr.Compare) {
		for _, x := range announce.At(b.snapshot, b.nodes, a, b.sharers[a]) {
			if x.Node != "" {
				b.at[x.Node] = append(b.at[x.Node], a)
				break
			}
		}
	}
	out := Rebalance{Before: b.counts(), Moves: []Move{}, Kept: c.keepsConnections()}
	for len(out.Moves) < most {
		m, ok := b.next()
		if !ok {
			break
		}
		out.Moves = append(out.Moves, m)
	}
	out.After = b.counts()
	return out
}

func (b *balance) counts() map[string]int {
	out := map[string]int{}
	for n, all := range b.at {
		out[n] = len(all)
	}
	return out
}

// next makes the next move; false if there is none.
func (b *balance) next() (Move, bool) {
	byCount := slices.SortedFunc(maps.Keys(b.at), func(x, y string) int {
		if d := len(b.at[y]) - len(b.at[x]); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, from := range byCount {
		for _, to := range slices.Backward(byCount) {
			if len(b.at[from])-len(b.at[to]) < 2 {
				break
			}
			if b.stuck[[2]string{from, to}] {
				continue
			}
			for i, a := range b.at[from] {
				if !b.may(a, from, to) {
					continue
				}
				b.at[from] = slices.Delete(b.at[from], i, i+1)
				b.at[to] = append(b.at[to], a)
				k := b.sharers[a][0].Key
				return Move{Service: k.String(), Address: a.String(), From: from, To: to, key: k, addr: a}, true
			}
			b.stuck[[2]string{from, to}] = true
		}
	}
	return Move{}, false
}

// may reports whether a node would announce an address if it were recorded first, and was moved by nothing yet.
func (b *balance) may(a netip.Addr, from, to string) bool {
	sharers := slices.Clone(b.sharers[a])
	first := *sharers[0]
	first.Record = maps.Clone(first.Record)
	if first.Record == nil {
		first.Record = map[netip.Addr][]string{}
	}
	if r := first.Record[a]; len(r) > 0 && r[0] != from {
		return false // it moves already
	}
	first.Record[a] = []string{to, from}
	sharers[0] = &first
	return slices.ContainsFunc(announce.At(b.snapshot, b.nodes, a, sharers), func(x announce.Announcement) bool { return x.Node == to })
}

// keepsConnections reports whether all speakers say that connections that are open go on when an address moves.
func (c *Cluster) keepsConnections() bool {
	return len(c.Speakers.Items) > 0 && !slices.ContainsFunc(c.Speakers.Items, func(s v1beta1.SpeakerStatus) bool {
		return !meta.IsStatusConditionTrue(s.Status.Conditions, v1beta1.ConditionKeepsConnections)
	})
}

// pause is how long to wait between two moves: the former announcer answers until it sees the other do so.
const pause = 100 * time.Millisecond

// do writes the moves into the records of the Services, which the speakers follow.
func (r Rebalance) do(ctx context.Context, c client.Client) error {
	for i, m := range r.Moves {
		if i > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := m.do(ctx, c); err != nil {
			return fmt.Errorf("move %s of service %s, after %d other moves: %w", m.Address, m.Service, i, err)
		}
	}
	return nil
}

// do writes one move. What has changed since it was chosen is left as it is.
func (m *Move) do(ctx context.Context, c client.Client) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var svc corev1.Service
		if err := c.Get(ctx, client.ObjectKey{Namespace: m.key.Namespace, Name: m.key.Name}, &svc); err != nil {
			return client.IgnoreNotFound(err)
		}
		s := kube.ServiceOf(&svc)
		record := s.Record()
		if r := record[m.addr]; !slices.Contains(s.Shown, m.addr) || len(r) > 0 && r[0] != m.From {
			return nil
		}
		if record == nil {
			record = map[netip.Addr][]string{}
		}
		record[m.addr] = []string{m.To, m.From}
		before := svc.DeepCopy()
		kube.Annotate(&svc, kube.AnnotationAnnouncers, kube.AnnouncersText(record))
		err := c.Patch(ctx, &svc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func (r Rebalance) write(w io.Writer) error {
	p := printer{w: w}
	var rows [][]string
	for _, n := range slices.Sorted(maps.Keys(r.Before)) {
		rows = append(rows, []string{n, fmt.Sprint(r.Before[n]), fmt.Sprint(r.After[n])})
	}
	p.table("NODE NOW THEN", rows)
	p.printf("\n")
	if len(r.Moves) == 0 {
		p.printf("There is nothing to move.\n")
		return p.err
	}
	rows = nil
	for _, m := range r.Moves {
		rows = append(rows, []string{m.Service, m.Address, m.From, m.To})
	}
	p.table("SERVICE ADDRESS FROM TO", rows)
	p.printf("\n")
	if !r.Kept {
		p.printf("Connections that are open through these addresses break. Install the component\nkeep-connections before, and they go on.\n")
	}
	if r.Done {
		p.printf("%d addresses move.\n", len(r.Moves))
	} else {
		p.printf("Nothing is moved yet. To move these %d addresses: kubectl fairlead rebalance --yes\n", len(r.Moves))
	}
	return p.err
}

func (a *app) rebalance() *cobra.Command {
	var yes bool
	var most int
	cmd := &cobra.Command{
		Use: "rebalance", Short: "Have all nodes announce about as many addresses", Args: cobra.NoArgs,
		Long: `Have all nodes announce about as many addresses by layer 2, as after a node was
away: what has moved from it stays where it is else. Says what would move; with
--yes, moves it, ten addresses a second.

Preferences are kept: an address moves only to a node that may announce it as
well. It needs a right to patch Services.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if most < 1 {
				return fmt.Errorf("%w: --max %d: want a number from 1 on", errUsage, most)
			}
			if yes && a.bundle != "" {
				return fmt.Errorf("%w: rebalance moves nothing in a bundle", errUsage)
			}
			c, err := a.read(cmd.Context())
			if err != nil {
				return err
			}
			r := c.Rebalance(most)
			if r.Done = yes && len(r.Moves) > 0; r.Done {
				api, err := a.connect()
				if err != nil {
					return err
				}
				if err := r.do(cmd.Context(), api); err != nil {
					return errors.Join(errors.New("not all addresses were moved"), err)
				}
			}
			return output(a.out, a.format, r)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	cmd.Flags().IntVar(&most, "max", 100, "move so `many` addresses at most")
	return cmd
}
