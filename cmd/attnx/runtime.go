package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/runtime/ort"
)

func runtimeCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "runtime",
		Short:   "Bring in ONNX Runtime",
		Example: "  attnx runtime install",
		Args:    aCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(runtimeInstallCommand(s))
	return cmd
}

func runtimeInstallCommand(s streams) *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Fetch the official ONNX Runtime library into the user's cache",
		Long: `Fetch the official CPU build of ONNX Runtime, version ` + ort.Version + `, with npm or pip, check its
SHA-256 against the pinned one, and put the library into the user's cache.`,
		Example: "  attnx runtime install\n  attnx runtime install --client pip",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lib, err := installWithProgress(s, func(progress func(done, total int64)) (ort.Library, error) {
				return ort.Install(cmd.Context(), ort.InstallOptions{Client: client, Progress: progress})
			})
			if err != nil {
				return err
			}
			fmt.Fprintln(s.out, lib.Path)
			return nil
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "package client: npm or pip (default: whichever is there)")
	return cmd
}

// installWithProgress shows a bar, in MB, from the moment that bytes arrive.
func installWithProgress(s streams, install func(progress func(done, total int64)) (ort.Library, error)) (ort.Library, error) {
	var bar *progress
	lib, err := install(func(done, total int64) {
		if bar == nil {
			bar = newProgress(s.err, "fetching ONNX Runtime "+ort.Version, int(total>>20), "MB")
		}
		bar.set(int(done>>20), "")
	})
	if bar != nil {
		bar.finish()
	}
	return lib, err
}
