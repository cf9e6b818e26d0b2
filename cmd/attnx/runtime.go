package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/runtime/ort/library"
)

func runtimeCommand(s console.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "runtime",
		Short:   "Install ONNX Runtime",
		Example: "  attnx runtime install",
		Args:    usage.Command,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(runtimeInstallCommand(s))
	return cmd
}

// installReport is the JSON of runtime install.
type installReport struct {
	Library string `json:"library"`
	Version string `json:"version"`
	CUDA    string `json:"cuda,omitempty"`  // version required by the GPU build
	CUDNN   string `json:"cudnn,omitempty"` // version required by the GPU build
}

func runtimeInstallCommand(s console.Streams) *cobra.Command {
	var o library.InstallOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Fetch the official ONNX Runtime library into the user's cache",
		Long: `Fetch the official build of ONNX Runtime, version ` + library.Version + `, with npm or
pip, compare its SHA-256 with the pinned one, and put the library into the
user's cache.

--cuda fetches the GPU build with pip (about 250 MB) and reports which CUDA and
cuDNN it needs; it does not bring them. Both builds may be installed: --device
cuda and auto take the GPU build, --device cpu takes the CPU build.

From version 1.29 on, official builds report to Microsoft which models a process
opens. attnx turns that off; ORT_DISABLE_TELEMETRY=0 leaves it on.`,
		Example: "  attnx runtime install\n  attnx runtime install --cuda",
		Args:    usage.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lib, err := installWithProgress(s, func(progress func(done, total int64)) (library.Library, error) {
				o.Progress = progress
				return library.Install(cmd.Context(), o)
			})
			if err != nil {
				return err
			}
			report := installReport{Library: lib.Path, Version: library.Version}
			if o.CUDA {
				needs, err := lib.Needs()
				if err != nil {
					return err
				}
				report.CUDA, report.CUDNN = needs.CUDA, needs.CUDNN
				fmt.Fprintf(s.Note, "it needs %s: `attnx doctor` reports which of their libraries are here\n", needs)
			}
			if asJSON {
				return usage.PrintJSON(s.Out, report)
			}
			_, err = fmt.Fprintln(s.Out, lib.Path)
			return err
		},
	}
	cmd.Flags().BoolVar(&o.CUDA, "cuda", false, "the GPU build")
	cmd.Flags().StringVar(&o.Client, "client", "", "package client: npm or pip (default: whichever is there)")
	usage.JSONFlag(cmd, &asJSON, installReport{})
	return cmd
}

// installWithProgress shows a progress bar, in MB, once bytes arrive.
func installWithProgress(s console.Streams, install func(progress func(done, total int64)) (library.Library, error)) (library.Library, error) {
	var bar *terminal.Progress
	lib, err := install(func(done, total int64) {
		if bar == nil {
			bar = terminal.NewProgress(s.Note, "fetching ONNX Runtime "+library.Version, int(total>>20), "MB")
		}
		bar.Set(int(done >> 20))
	})
	if bar != nil {
		bar.Finish()
	}
	return lib, err
}

// fetchRuntime installs ONNX Runtime if it is missing. It returns why that
// failed; quickstart then continues without it.
func fetchRuntime(ctx context.Context, s console.Streams) error {
	_, err := installWithProgress(s, func(progress func(done, total int64)) (library.Library, error) {
		return library.FindOrInstall(ctx, "", progress)
	})
	if err != nil {
		fmt.Fprintf(s.Note, "continuing without ONNX Runtime: %s\n", words.Of(err))
	}
	return err
}
