//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

func command() *cobra.Command {
	var o lab.Options
	root := &cobra.Command{Use: "lab", Short: "A Kubernetes cluster on this machine", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVar(&o.Name, "name", lab.DefaultName, "which lab is meant")
	root.AddCommand(
		upCommand(&o), routersCommand(&o), downCommand(&o), statusCommand(&o), execCommand(&o),
		onEach(&o, "pull HOST…", "Pull the cables of hosts", (*lab.Lab).PullCable),
		onEach(&o, "replug HOST…", "Plug the cables of hosts in again", (*lab.Lab).ReplugCable),
		onEach(&o, "stop COMPONENT…", "Stop components, for example node-1/kubelet", (*lab.Lab).Stop),
		onEach(&o, "start COMPONENT…", "Start components that were stopped or killed", (*lab.Lab).Start),
		onEach(&o, "kill COMPONENT…", "Kill components without warning", (*lab.Lab).Kill),
		loadCommand(&o),
	)
	return root
}

func upCommand(o *lab.Options) *cobra.Command {
	cmd := &cobra.Command{Use: "up", Short: "Start the lab and leave it running", Args: cobra.NoArgs}
	cmd.Flags().IntVar(&o.Nodes, "nodes", 3, "how many nodes")
	cmd.Flags().StringVar((*string)(&o.ProxyMode), "proxy-mode", string(lab.NFTables), "nftables or iptables")
	cmd.Flags().StringVar(&o.Kubernetes, "kubernetes", lab.Newest, lab.Newest+" or "+lab.Oldest)
	routers := cmd.Flags().Bool("routers", false, "let the routers speak BGP, as the command routers does")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Detached, o.Log = true, cmd.OutOrStdout()
		l, err := lab.Up(cmd.Context(), *o)
		if err != nil {
			return err
		}
		if *routers {
			if err := l.StartRouters(cmd.Context(), lab.Routing{BFD: lab.FastBFD}); err != nil {
				return err
			}
		}
		greet(cmd, l)
		return nil
	}
	return cmd
}

func routersCommand(o *lab.Options) *cobra.Command {
	r := lab.Routing{BFD: lab.FastBFD}
	cmd := &cobra.Command{Use: "routers", Short: "Let the routers speak BGP, or start that again with other settings", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&r.Password, "password", "", "sign the sessions with it")
	cmd.Flags().DurationVar(&r.BFD.Interval, "bfd-interval", r.BFD.Interval, "how often BFD packets are sent")
	cmd.Flags().IntVar(&r.BFD.Multiplier, "bfd-multiplier", r.BFD.Multiplier, "how many of them may be lost; 0 for no BFD")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := attach(cmd, o)
		if err != nil {
			return err
		}
		if r.BFD.Multiplier == 0 {
			r.BFD = lab.BFD{}
		}
		return l.StartRouters(cmd.Context(), r)
	}
	return cmd
}

func greet(cmd *cobra.Command, l *lab.Lab) {
	fmt.Fprintf(cmd.OutOrStdout(), `
To use it:

  export KUBECONFIG=%s PATH=%s:$PATH
  kubectl get nodes -o wide

Try from its client what is reachable, or pull a node's cable:

  go run ./internal/lab/cmd/lab exec %s -- ping -c 1 %s
  go run ./internal/lab/cmd/lab pull %s

Logs are in %s. To end it: make lab-down
`, l.Kubeconfig(), filepath.Dir(l.KubectlPath()), lab.Client, lab.NodeAddrs(1).V4, lab.NodeName(1), filepath.Join(l.Dir(), "logs"))
}

func downCommand(o *lab.Options) *cobra.Command {
	return &cobra.Command{Use: "down", Short: "End the lab and remove all that it left", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return lab.Remove(cmd.Context(), *o) },
	}
}

func statusCommand(o *lab.Options) *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Tell which components run", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := attach(cmd, o)
			if err != nil {
				return err
			}
			all, err := l.Components()
			for _, status := range all {
				state := "running"
				if !status.Running {
					state = status.Exit
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-24s %-16s %s\n", status.Name, state, l.LogPath(status.Name))
			}
			return err
		},
	}
}

func execCommand(o *lab.Options) *cobra.Command {
	return &cobra.Command{Use: "exec HOST -- COMMAND…", Args: cobra.MinimumNArgs(2),
		Short: fmt.Sprintf("Run a command on %s, %s, %s, %s, %s or a node", lab.Control, lab.Router1, lab.Router2, lab.Client, lab.FarClient),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := attach(cmd, o)
			if err != nil {
				return err
			}
			if !slices.Contains(l.Hosts(), args[0]) {
				return fmt.Errorf("no host %q; there are %s", args[0], strings.Join(l.Hosts(), ", "))
			}
			run := l.Host(args[0]).Command(cmd.Context(), args[1], args[2:]...)
			run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
			run.Cancel = func() error { return nil } // the terminal interrupts the command as well
			return run.Run()
		},
	}
}

func loadCommand(o *lab.Options) *cobra.Command {
	return &cobra.Command{Use: "load ARCHIVE…", Short: "Import image archives on every node", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, archives []string) error {
			l, err := attach(cmd, o)
			if err != nil {
				return err
			}
			for _, archive := range archives {
				if err := l.LoadImage(cmd.Context(), archive); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func onEach(o *lab.Options, use, short string, f func(*lab.Lab, string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := attach(cmd, o)
			if err != nil {
				return err
			}
			var problems []error
			for _, arg := range args {
				problems = append(problems, f(l, arg))
			}
			return errors.Join(problems...)
		},
	}
}

func attach(cmd *cobra.Command, o *lab.Options) (*lab.Lab, error) {
	return lab.Attach(cmd.Context(), *o)
}
