//go:build linux

package envtest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

const (
	checkout = "../.."
	system   = "fairlead-system"
	// binariesEnv tells a child that stands for etcd or kube-apiserver where these are.
	binariesEnv = "FAIRLEAD_ENVTEST_BINARIES"
)

// cluster is the one API server of all tests, and what is run beside it.
type cluster struct {
	api client.WithWatch
	// program is the controller, and kubeconfig what it reaches the API server with.
	program, kubeconfig string
	dir                 string
}

var shared *cluster

func TestMain(m *testing.M) {
	become()
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "envtest:", err)
		code = 1
	}
	os.Exit(code)
}

// become turns this process into etcd or kube-apiserver if it was started by
// that name: one that ends when its parent does, even after kill -9.
func become() {
	name := filepath.Base(os.Args[0])
	dir := os.Getenv(binariesEnv)
	if dir == "" || (name != "etcd" && name != "kube-apiserver") {
		return
	}
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
	if err == nil {
		err = syscall.Exec(filepath.Join(dir, name), os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, name+":", err)
	os.Exit(1)
}

func run(m *testing.M) (code int, err error) {
	if testing.Short() {
		return m.Run(), nil
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "fairlead-envtest-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	shared = &cluster{dir: dir, program: filepath.Join(dir, "fairlead-controller"), kubeconfig: filepath.Join(dir, "kubeconfig")}

	env := &envtest.Environment{
		BinaryAssetsDirectory: dir,
		CRDDirectoryPaths:     []string{checkout + "/manifests/crd"},
		ErrorIfCRDPathMissing: true,
	}
	env.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.96.0.0/16,fd96::/112")
	var group errgroup.Group
	group.Go(func() error { return shared.build(ctx) })
	group.Go(func() error { return start(ctx, env, dir) })
	err = group.Wait()
	defer func() { err = errors.Join(err, env.Stop()) }()
	if err != nil {
		return 1, err
	}
	if err := shared.connect(ctx, env); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// build compiles the controller as it is in this checkout.
func (c *cluster) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", c.program, "./controller")
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the controller: %w\n%s", err, out)
	}
	return nil
}

// start runs etcd and kube-apiserver, each as a child of this program that becomes it.
func start(ctx context.Context, env *envtest.Environment, dir string) error {
	binaries, err := lab.Binaries(ctx, lab.Options{Log: os.Stderr})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Setenv(binariesEnv, binaries); err != nil {
		return err
	}
	if _, err := env.Start(); err != nil {
		return fmt.Errorf("start an API server: %w", err)
	}
	return nil
}

// connect makes the tests' client, and the controller's account with the rights that it ships with.
func (c *cluster) connect(ctx context.Context, env *envtest.Environment) error {
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	admin := *env.Config
	admin.QPS = -1
	if c.api, err = client.NewWithWatch(&admin, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if err := c.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: system}}); err != nil {
		return err
	}
	if err := c.apply(ctx, checkout+"/manifests/base/controller-rbac.yaml"); err != nil {
		return err
	}
	user, err := env.AddUser(envtest.User{
		Name:   "system:serviceaccount:" + system + ":controller",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + system},
	}, nil)
	if err != nil {
		return err
	}
	data, err := user.KubeConfig()
	if err != nil {
		return err
	}
	return os.WriteFile(c.kubeconfig, data, 0o600)
}

// apply creates the objects of a manifest; those that have a namespace, in Fairlead's.
func (c *cluster) apply(ctx context.Context, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
		var o unstructured.Unstructured
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if namespaced, err := c.api.IsObjectNamespaced(&o); err != nil {
			return err
		} else if namespaced {
			o.SetNamespace(system)
		}
		if err := c.api.Create(ctx, &o); err != nil {
			return fmt.Errorf("create %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
}
