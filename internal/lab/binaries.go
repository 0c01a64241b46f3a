//go:build linux

package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// recipe is a nested module and what is built from it.
type recipe struct {
	module   string // folder below the lab's source
	packages []string
	ldflags  string
}

// recipes needs the version of Kubernetes: its API server does not start without knowing it.
func recipes(module, version string) []recipe {
	const stamp = "-X k8s.io/component-base/version."
	part := strings.Split(strings.TrimPrefix(version, "v"), ".")
	var kubernetes []string
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"} {
		kubernetes = append(kubernetes, "k8s.io/kubernetes/cmd/"+name)
	}
	return []recipe{
		{module: "etcd", packages: []string{"go.etcd.io/etcd/server/v3"}, ldflags: "-s -w"},
		{module: module, packages: kubernetes, ldflags: fmt.Sprintf("-s -w %[1]sgitVersion=%[2]s %[1]sgitMajor=%[3]s %[1]sgitMinor=%[4]s",
			stamp, version, part[0], part[1])},
	}
}

// Binaries returns the folder of etcd, kube-apiserver and the other programs of a cluster, for tests that need less than
// a whole lab. They are built if they are not there yet. No root is needed.
func Binaries(ctx context.Context, o Options) (dir string, err error) {
	if o, err = o.complete(); err != nil {
		return "", err
	}
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	return ensureBinaries(ctx, o, source)
}

// ensureBinaries returns the folder of the cluster's programs, which are built if this is the first lab with them.
func ensureBinaries(ctx context.Context, o Options, source string) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	key, err := cacheKey(ctx, source, kubernetesModules[o.Kubernetes])
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	lock, err := lockCache(ctx, o, filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil // somebody else built it meanwhile
	}
	return dir, buildBinaries(ctx, o, source, dir)
}

// lockCache waits until nobody else builds.
func lockCache(ctx context.Context, o Options, path string) (lock *os.File, err error) {
	if lock, err = lockFile(path); !errors.Is(err, errLocked) {
		return lock, err
	}
	o.logf("Waiting for somebody else who builds Kubernetes.")
	err = eventually(ctx, "wait for another build", func(context.Context) error {
		lock, err = lockFile(path)
		return err
	})
	return lock, err
}

// cacheDir returns the folder of everything that is worth keeping between labs.
func cacheDir() (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		user = "/var/cache" // no home, as under some service managers
	}
	dir := filepath.Join(user, "fairlead-lab")
	return dir, os.MkdirAll(dir, 0o755)
}

// cacheKey changes with all that the programs are made from.
func cacheKey(ctx context.Context, source, kubernetes string) (string, error) {
	hash := sha256.New()
	version, err := goCommand(ctx, source, "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	fmt.Fprintln(hash, version, runtime.GOARCH)
	for _, file := range []string{"etcd/go.mod", "etcd/go.sum", kubernetes + "/go.mod", kubernetes + "/go.sum"} {
		data, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", file, len(data), data)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}
