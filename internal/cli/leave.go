package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead-lb/fairlead/controller/assign"
)

const (
	// stoppedLabel is of no node: speakers that are to run there only are stopped.
	stoppedLabel = "fairlead.io/stopped"
	// stopping is how long pods may take to end.
	stopping = 2 * time.Minute
)

// A departure hands the addresses over as they stand. It can be run again after a failure.
type departure struct {
	client client.Client
	system string
	// keepSpeakers has the speakers go on announcing. Then nothing is stripped: they would write it again.
	keepSpeakers bool
	say          func(format string, args ...any)
}

// run stops who would write to Services, and then removes what was written, but for the addresses.
func (d *departure) run(ctx context.Context) error {
	controller := &appsv1.Deployment{}
	controller.Namespace, controller.Name = d.system, "controller"
	if err := d.stop(ctx, controller, []byte(`{"spec":{"replicas":0}}`), "the controller is stopped: no address changes any more"); err != nil {
		return err
	}
	if d.keepSpeakers {
		d.say("The speakers go on announcing. Run this again, without --keep-speakers, when another load balancer is there to take over.\n")
		return nil
	}
	speaker := &appsv1.DaemonSet{}
	speaker.Namespace, speaker.Name = d.system, "speaker"
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeSelector":{%q:"yes"}}}}}`, stoppedLabel)
	if err := d.stop(ctx, speaker, []byte(patch), "the speakers are stopped: nobody answers for the addresses"); err != nil {
		return err
	}
	return d.strip(ctx)
}

// stop changes a workload so that it has no pods, and waits until they are gone.
func (d *departure) stop(ctx context.Context, o client.Object, patch []byte, done string) error {
	switch err := d.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch)); {
	case apierrors.IsNotFound(err):
		d.say("There is no %s in %s.\n", o.GetName(), d.system)
		return nil
	case err != nil:
		return fmt.Errorf("stop the %s: %w", o.GetName(), err)
	}
	err := wait.PollUntilContextTimeout(ctx, time.Second/4, stopping, true, func(ctx context.Context) (bool, error) {
		if err := d.client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return false, err
		}
		return pods(o) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the pods of %s are gone: %w", o.GetName(), err)
	}
	d.say("Now %s.\n", done)
	return nil
}

// pods returns how many pods a workload still has; 1 while that is not known.
func pods(o client.Object) int32 {
	switch w := o.(type) {
	case *appsv1.Deployment:
		if w.Status.ObservedGeneration < w.Generation {
			return 1
		}
		return w.Status.Replicas + terminating(w.Status.TerminatingReplicas)
	case *appsv1.DaemonSet:
		if w.Status.ObservedGeneration < w.Generation {
			return 1
		}
		return w.Status.CurrentNumberScheduled + w.Status.NumberMisscheduled
	}
	return 0
}

func terminating(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}

// strip removes Fairlead's annotations and conditions from all Services.
func (d *departure) strip(ctx context.Context) error {
	var all corev1.ServiceList
	if err := d.client.List(ctx, &all); err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	stripped, kept := 0, 0
	var errs []error
	for i := range all.Items {
		svc := &all.Items[i]
		n := len(svc.Status.LoadBalancer.Ingress)
		switch done, err := d.stripOne(ctx, svc); {
		case err != nil:
			errs = append(errs, fmt.Errorf("service %s/%s: %w", svc.Namespace, svc.Name, err))
		case done:
			stripped++
			kept += n
		}
	}
	d.say("%d Services keep their %d addresses, and say no more that Fairlead assigned them.\n", stripped, kept)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.say("Uninstall Fairlead as you have installed it. Another load balancer, or Fairlead itself, finds the addresses in the Services.\n"+
		"To stay after all: kubectl -n %s delete daemonset speaker, and install Fairlead again.\n", d.system)
	return nil
}

// stripOne reads a Service again that somebody else has written meanwhile.
func (d *departure) stripOne(ctx context.Context, svc *corev1.Service) (done bool, err error) {
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		patch := assign.Strip(svc)
		if done = patch != nil; !done {
			return nil
		}
		err := d.client.Status().Patch(ctx, svc, patch)
		if apierrors.IsConflict(err) {
			err = errors.Join(err, d.client.Get(ctx, client.ObjectKeyFromObject(svc), svc))
		}
		return err
	})
	return done && err == nil, client.IgnoreNotFound(err)
}

func (a *app) leave() *cobra.Command {
	var yes, keep bool
	cmd := &cobra.Command{
		Use: "leave", Short: "Hand the addresses over as they stand, before Fairlead is uninstalled", Args: cobra.NoArgs,
		Long: `Hand the addresses over as they stand, before Fairlead is uninstalled.

The controller is stopped, then the speakers, and then Fairlead's annotations and
conditions are removed from all Services. No address is. From then on nobody
answers for the addresses, until another load balancer does. It can be run again
if it fails. It needs rights to write Services, Deployments and DaemonSets.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return fmt.Errorf("%w: leave stops Fairlead: give --yes if that is what you want", errUsage)
			}
			if a.bundle != "" {
				return fmt.Errorf("%w: leave does nothing to a bundle", errUsage)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			d := &departure{client: c, system: a.system, keepSpeakers: keep, say: func(format string, args ...any) {
				fmt.Fprintf(a.out, format, args...) //nolint:errcheck // what is done is done
			}}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	cmd.Flags().BoolVar(&keep, "keep-speakers", false, "stop the controller only; the speakers go on announcing")
	return cmd
}
