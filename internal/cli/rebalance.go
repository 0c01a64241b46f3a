package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/controller/place"
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

	move announce.Move
}

// Rebalance chooses so many moves at most, as few as there can be.
func (c *Cluster) Rebalance(most int) Rebalance {
	v := c.view()
	b := announce.NewBalance(v.snapshot, v.nodes, v.sharers, nil)
	out := Rebalance{Before: b.Counts(), Moves: []Move{}, Kept: place.KeepsConnections(c.Speakers.Items)}
	for _, m := range b.Moves(most) {
		out.Moves = append(out.Moves, Move{Service: m.Service.String(), Address: m.Address.String(), From: m.From, To: m.To, move: m})
	}
	out.After = b.Counts()
	return out
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
		if err := c.Get(ctx, client.ObjectKey{Namespace: m.move.Service.Namespace, Name: m.move.Service.Name}, &svc); err != nil {
			return client.IgnoreNotFound(err)
		}
		before := svc.DeepCopy()
		if !place.Move(&svc, m.move) {
			return nil
		}
		return client.IgnoreNotFound(c.Patch(ctx, &svc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
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
