package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/internal/kube"
	"github.com/fairlead-lb/fairlead/internal/version"
)

// What a command ends with.
const (
	exitOK    = 0
	exitWrong = 1 // something is wrong with what was looked at
	exitError = 2 // it could not be looked at
)

var (
	// errWrong has the command end with exitWrong; what is wrong is printed already.
	errWrong = errors.New("something is wrong")
	errUsage = errors.New("usage")
)

// Run runs a command line and returns how it ended: 0, or 1 if something is wrong with what was looked at, or 2 if it could not be
// looked at.
func Run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := (&app{in: in, out: out}).root() //nolint:contextcheck // commands have the context of ExecuteContext
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitOK
	case errors.Is(err, errWrong):
		return exitWrong
	default:
		fmt.Fprintln(errs, "kubectl-fairlead:", err) //nolint:errcheck // there is nobody else to tell
		return exitError
	}
}

// app is the command line.
type app struct {
	in  io.Reader
	out io.Writer

	kubeconfig, context, namespace, system, format, bundle string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "kubectl-fairlead", Short: "Say what Fairlead does in a cluster, and why",
		Long: `Say what Fairlead does in a cluster, and why. Nothing is changed, but by leave and rebalance. The ClusterRole
fairlead-viewer is enough for all else.

The exit status is 0; 1 if something is wrong with what was looked at; and 2 if it could not be looked at.`,
		Annotations:  map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl fairlead"},
		SilenceUsage: true, SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.kubeconfig, "kubeconfig", "", "`path` of the kubeconfig file")
	f.StringVar(&a.context, "context", "", "`name` of the kubeconfig context")
	f.StringVarP(&a.namespace, "namespace", "n", "", "`namespace` of Services")
	f.StringVar(&a.system, "fairlead-namespace", "fairlead-system", "`namespace` that Fairlead runs in")
	f.StringVarP(&a.format, "output", "o", "", "`format` of what is printed: json or yaml")
	f.StringVar(&a.bundle, "from-bundle", "", "look at what support-bundle has saved in this `file`, and not at a cluster")
	root.AddCommand(a.status(), a.explain(), a.pools(), a.l2(), a.bgp(), a.doctor(), a.history(), a.leave(), a.validate(), a.plan(), a.rebalance(),
		a.migrate(), a.supportBundle(), a.version())
	return root
}

// connect returns a client that knows some more kinds, and notes the namespace that the user is in.
func (a *app) connect(others ...schema.GroupVersionKind) (client.Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.kubeconfig
	cc := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: a.context})
	if a.namespace == "" {
		namespace, _, err := cc.Namespace()
		if err != nil {
			return nil, fmt.Errorf("find the cluster: %w", err)
		}
		a.namespace = namespace
	}
	rc, err := cc.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	return kube.NewClient(rc, others...)
}

// read reads what there is to look at.
func (a *app) read(ctx context.Context) (*Cluster, error) {
	if a.bundle != "" {
		if a.namespace == "" {
			a.namespace = "default"
		}
		return fromBundle(a.bundle, a.system)
	}
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	return Read(ctx, c, a.system, time.Now())
}

// documents reads the objects of files.
func (a *app) documents(paths []string) ([]document, error) {
	r, err := newReader()
	if err != nil {
		return nil, err
	}
	return r.files(paths, a.in)
}

// look is a command that reads a cluster and prints a report; wrong is whether it ends with status 1.
func (a *app) look(use, short string, args cobra.PositionalArgs, report func(c *Cluster, args []string) (r report, wrong bool, err error)) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		c, err := a.read(cmd.Context())
		if err != nil {
			return err
		}
		r, wrong, err := report(c, args)
		if err != nil {
			return err
		}
		if err := output(a.out, a.format, r); err != nil {
			return err
		}
		if wrong {
			return errWrong
		}
		return nil
	}}
}

func (a *app) status() *cobra.Command {
	return a.look("status", "Show the whole on one screen, and what is wrong first", cobra.NoArgs,
		func(c *Cluster, _ []string) (report, bool, error) {
			s := c.Status()
			return s, len(s.Findings) > 0, nil
		})
}

func (a *app) doctor() *cobra.Command {
	return a.look("doctor", "List all that is wrong, each with the command that mends it", cobra.NoArgs,
		func(c *Cluster, _ []string) (report, bool, error) {
			d := Diagnosis{c.Findings()}
			if d.Findings == nil {
				d.Findings = []Finding{}
			}
			return d, len(d.Findings) > 0, nil
		})
}

func (a *app) explain() *cobra.Command {
	cmd := a.look("explain [service] [NAMESPACE/]NAME", "Follow a Service to its clients, step by step", cobra.RangeArgs(1, 2),
		func(c *Cluster, args []string) (report, bool, error) {
			if len(args) == 2 && !slices.Contains([]string{"service", "services", "svc"}, args[0]) {
				return nil, false, fmt.Errorf("%w: explain %s: only Services can be explained", errUsage, args[0])
			}
			namespace, name, found := strings.Cut(args[len(args)-1], "/")
			if !found {
				namespace, name = a.namespace, namespace
			}
			e, ok := c.Explain(namespace, name)
			if !ok {
				return nil, false, fmt.Errorf("there is no Service %s/%s", namespace, name)
			}
			return e, e.wrong(), nil
		})
	cmd.Example = "  kubectl fairlead explain service default/web"
	return cmd
}

func (a *app) pools() *cobra.Command {
	return a.look("pools [NAME]", "Show how much of each pool is in use; with a name, who holds what of it", cobra.MaximumNArgs(1),
		func(c *Cluster, args []string) (report, bool, error) {
			if len(args) == 0 {
				return poolUses(c.PoolUses()), false, nil
			}
			u, ok := c.Pool(args[0])
			if !ok {
				return nil, false, fmt.Errorf("there is no IPAddressPool %s", args[0])
			}
			return u, false, nil
		})
}

func (a *app) l2() *cobra.Command {
	return a.look("l2", "Show which node announces what by ARP and NDP", cobra.NoArgs,
		func(c *Cluster, _ []string) (report, bool, error) { return c.L2(), false, nil })
}

func (a *app) bgp() *cobra.Command {
	return a.look("bgp", "Show the BGP sessions of all nodes", cobra.NoArgs,
		func(c *Cluster, _ []string) (report, bool, error) { return c.BGP(), false, nil })
}

func (a *app) validate() *cobra.Command {
	var files []string
	var against bool
	cmd := &cobra.Command{
		Use: "validate -f FILE", Short: "Check manifests as the controller will, before they are applied", Args: cobra.NoArgs,
		Long: `Check manifests as the controller will, before they are applied: alone or, with --cluster, together with what the cluster has.
Objects that are not Fairlead's are left out of account.`,
		Example: "  kubectl fairlead validate -f pools/ -f bgp.yaml\n  kustomize build . | kubectl fairlead validate --cluster -f -",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := &Cluster{}
			if against || a.bundle != "" {
				var err error
				if c, err = a.read(cmd.Context()); err != nil {
					return err
				}
			}
			docs, err := a.documents(files)
			if err != nil {
				return err
			}
			v, err := c.Validate(docs)
			if err != nil {
				return err
			}
			if err := output(a.out, a.format, v); err != nil {
				return err
			}
			if faulty(v.Verdicts) {
				return errWrong
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "`path` of a file or a folder, or - for what comes in; may be repeated")
	cmd.Flags().BoolVar(&against, "cluster", false, "check together with the objects of the cluster")
	_ = cmd.MarkFlagRequired("filename") // the flag was defined the line before
	return cmd
}

func (a *app) plan() *cobra.Command {
	var files []string
	var drain string
	cmd := &cobra.Command{
		Use: "plan (-f FILE | --drain NODE)", Short: "Say what a change would do to the Services, before it is made", Args: cobra.NoArgs,
		Long: `Say which Services would gain, lose or change an address, or be announced by another node, by manifests that are applied, or by
a node that is taken out. The exit status is 1 if any would.`,
		Example: "  kubectl fairlead plan -f pools.yaml\n  kubectl fairlead plan --drain node-3",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.read(cmd.Context())
			if err != nil {
				return err
			}
			then := c.copy()
			if drain != "" {
				if then, err = c.drained(drain); err != nil {
					return err
				}
			}
			docs, err := a.documents(files)
			if err != nil {
				return err
			}
			for _, d := range docs {
				if err := then.add(d.object); err != nil {
					return fmt.Errorf("%s: %w", d.at, err)
				}
			}
			p := c.Plan(then)
			if err := output(a.out, a.format, p); err != nil {
				return err
			}
			if len(p.Changes) > 0 {
				return errWrong
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "`path` of a file or a folder, or - for what comes in; may be repeated")
	cmd.Flags().StringVar(&drain, "drain", "", "take out this `node`")
	cmd.MarkFlagsOneRequired("filename", "drain")
	return cmd
}

func (a *app) supportBundle() *cobra.Command {
	return &cobra.Command{
		Use: "support-bundle", Short: "Print all that these commands read, for somebody else to look at by --from-bundle", Args: cobra.NoArgs,
		Example: "  kubectl fairlead support-bundle > bundle.yaml\n  kubectl fairlead status --from-bundle bundle.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.read(cmd.Context())
			if err != nil {
				return err
			}
			return c.bundle(a.out)
		},
	}
}

// versionReport is what version prints.
type versionReport struct {
	Client version.Info `json:"client"`
}

func (v versionReport) write(w io.Writer) error {
	_, err := fmt.Fprintln(w, "kubectl-fairlead", v.Client)
	return err
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return output(a.out, a.format, versionReport{version.Get()}) },
	}
}
