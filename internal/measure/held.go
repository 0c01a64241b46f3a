package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Held are connections that are kept open, and used by HTTP.
type Held struct {
	quit  chan struct{}
	users sync.WaitGroup

	mu   sync.Mutex
	lost []error
}

// patience is how long a kept connection may take for a page before it counts as lost. TCP sends again after 0.2 s, 0.4 s, ….
const patience = 5 * time.Second

// Hold opens n connections and fetches a page over each of them every interval.
func Hold(ctx context.Context, n int, every time.Duration, dial func(context.Context) (net.Conn, error)) (*Held, error) {
	h := &Held{quit: make(chan struct{})}
	for i := range n {
		conn, err := dial(ctx)
		if err != nil {
			h.Stop()
			return nil, fmt.Errorf("open connection %d: %w", i, err)
		}
		h.users.Go(func() {
			defer func() { _ = conn.Close() }()
			if err := h.use(conn, every); err != nil {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.lost = append(h.lost, fmt.Errorf("connection %d: %w", i, err))
			}
		})
	}
	return h, nil
}

func (h *Held) use(conn net.Conn, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for r := bufio.NewReader(conn); ; {
		if err := fetch(conn, r); err != nil {
			return err
		}
		select {
		case <-h.quit:
			return nil
		case <-tick.C:
		}
	}
}

func fetch(conn net.Conn, r *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: held\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// Stop closes the connections and returns why those that were lost were.
func (h *Held) Stop() (lost []error) {
	close(h.quit)
	h.users.Wait()
	return h.lost
}
