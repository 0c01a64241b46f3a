package kube

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// pause is how long to wait, on average, before an API server that cannot be reached is tried again.
const pause = time.Second

// patient waits for an API server that cannot be reached, rather than to fail a read. The
// reflectors behind a cache would wait for up to a minute after some failures in a
// row, each for itself, and a binary would for that time see some kinds of objects as they
// are and others as they were.
type patient struct{ next http.RoundTripper }

// RoundTrip sends a request, again and again if it is one that reads and nobody listens.
func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		response, err := p.next.RoundTrip(r)
		if err == nil || r.Method != http.MethodGet || !unreachable(err) {
			return response, err
		}
		// Not all at once: an API server that comes back has a whole cluster at its door.
		select {
		case <-r.Context().Done():
			return nil, err
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // spreads load, keeps no secret
		}
	}
}

// WrappedRoundTripper lets client-go find what it cancels requests with.
func (p patient) WrappedRoundTripper() http.RoundTripper { return p.next }

// unreachable reports whether no connection was made.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
