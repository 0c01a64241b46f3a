// Web is the lab's example application: an HTTP server that says which pod answers, and whom.
//
// It listens on every address, IPv4 and IPv6, port 8080. When it gets the signal to end it serves on for a while (DRAIN, three seconds
// unless given), as a load balancer takes a moment to look elsewhere; /healthz fails meanwhile.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	drain, err := time.ParseDuration(env("DRAIN", "3s"))
	if err != nil {
		return fmt.Errorf("parse DRAIN: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	var ending atomic.Bool
	server := &http.Server{Addr: env("LISTEN", ":8080"), Handler: handler(&ending), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending.Store(true)
	time.Sleep(drain)
	late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(late); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func handler(ending *atomic.Bool) http.Handler {
	host, _ := os.Hostname() // a pod's is its name
	pod, node := env("POD_NAME", host), env("NODE_NAME", "unknown")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if ending.Load() {
			http.Error(w, "ending", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr) // net/http writes it
		fmt.Fprintf(w, "pod=%s node=%s client=%s", pod, node, client)
		if via := r.Header.Get("X-Forwarded-For"); via != "" { // an HTTP proxy is between
			fmt.Fprintf(w, " for=%s", via)
		}
		fmt.Fprintln(w)
	})
	return mux
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
