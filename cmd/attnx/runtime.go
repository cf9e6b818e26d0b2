package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/runtime/openvino"
	"github.com/attnx/attnx/runtime/ort/library"
)

func runtimeCommand(s console.Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "runtime",
		Short:   "Install ONNX Runtime or OpenVINO",
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
	var vino, asJSON bool
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Fetch an official runtime library into the user's cache",
		Long: `Fetch the official build of ONNX Runtime, version ` + library.Version + `, with npm or
pip, compare its SHA-256 with the pinned one, and put the library into the
user's cache.

--cuda fetches the GPU build with pip (about 250 MB) and reports which CUDA and
cuDNN it needs; it does not bring them. Both builds may be installed: --device
cuda and auto take the GPU build, --device cpu takes the CPU build.

From version 1.29 on, official builds report to Microsoft which models a process
opens. attnx turns that off; ORT_DISABLE_TELEMETRY=0 leaves it on.

--openvino fetches OpenVINO instead, version ` + openvino.Version + `, with pip (30 to 85 MB).`,
		Example: "  attnx runtime install\n  attnx runtime install --openvino",
		Args:    usage.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, report := "ONNX Runtime", installReport{Version: library.Version}
			if vino {
				name, report.Version = "OpenVINO", openvino.Version
			}
			lib, err := installWithProgress(s, name+" "+report.Version, func(progress func(done, total int64)) (library.Library, error) {
				o.Progress = progress
				if vino {
					lib, err := openvino.Install(cmd.Context(), o.InstallOptions)
					return library.Library(lib), err
				}
				return library.Install(cmd.Context(), o)
			})
			if err != nil {
				return err
			}
			report.Library = lib.Path
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
	cmd.Flags().BoolVar(&vino, "openvino", false, "OpenVINO instead of ONNX Runtime")
	cmd.MarkFlagsMutuallyExclusive("cuda", "openvino")
	cmd.Flags().StringVar(&o.Client, "client", "", "package client: npm or pip (default: whichever is there)")
	usage.JSONFlag(cmd, &asJSON, installReport{})
	return cmd
}

// installWithProgress shows a progress bar, in MB, once bytes arrive.
func installWithProgress(s console.Streams, what string, install func(progress func(done, total int64)) (library.Library, error)) (library.Library, error) {
	var bar *terminal.Progress
	lib, err := install(func(done, total int64) {
		if bar == nil {
			bar = terminal.NewProgress(s.Note, "fetching "+what, int(total>>20), "MB")
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
	_, err := installWithProgress(s, "ONNX Runtime "+library.Version, func(progress func(done, total int64)) (library.Library, error) {
		return library.FindOrInstall(ctx, "", progress)
	})
	if err != nil {
		fmt.Fprintf(s.Note, "continuing without ONNX Runtime: %s\n", words.Of(err))
	}
	return err
}
