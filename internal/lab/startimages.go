//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// startImages starts every node's containerd and gives it the lab's images.
func (l *Lab) startImages(ctx context.Context, source string) error {
	archive := l.paths.in("images.tar")
	built := make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(built)
		return buildImages(ctx, source, archive)
	})
	for n := 1; n <= l.options.Nodes; n++ {
		g.Go(func() error {
			node := node{l, n}
			if err := node.writeConfigs(); err != nil {
				return fmt.Errorf("configure %s: %w", node.name(), err)
			}
			if err := l.run(node.containerd()); err != nil {
				return err
			}
			if err := waitSocket(ctx, l.paths.containerd(node.name())); err != nil {
				return err
			}
			<-built
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return l.importImages(ctx, node.name(), archive)
		})
	}
	return g.Wait()
}

// raiseLimits lets several kubelets and containerds watch files at once. The limit is the whole machine's.
func raiseLimits() error {
	const file, enough = "/proc/sys/fs/inotify/max_user_instances", 1024
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if now, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && now >= enough {
		return nil
	}
	return os.WriteFile(file, []byte(strconv.Itoa(enough)), 0)
}
