package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/inspection"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/export/onnx"
)

func inspectCommand(s console.Streams) *cobra.Command {
	var asJSON, nodes bool
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a checkpoint, a folder, a GGUF or an ONNX file",
		Long: `Show what is in a file or folder.

Of an ONNX file inspect shows all that the format allows, other tools' too, and
marks the operators, types and domains that attnx cannot run. --nodes prints
every node, those of graphs within nodes and of functions too. A file is refused
only if its bytes are not ONNX.`,
		Example: "  attnx inspect runs/go\n  attnx inspect go.onnx --nodes",
		Args:    usage.OneArg("checkpoint, safetensors file, folder, GGUF or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if nodes && asJSON {
				return errors.New("--nodes and --json exclude each other: --json has no nodes, only their number")
			}
			x, err := attnx.Inspect(args[0], s.Tell)
			switch {
			case err != nil:
				return err
			case nodes && x.InspectedONNX != nil:
				return onnx.Print(s.Out, x.Model)
			case nodes && x.Kind == "huggingface":
				return fmt.Errorf("--nodes: %s has no nodes, it is a folder of weights", x.File)
			case nodes && x.Kind == "gguf":
				return fmt.Errorf("--nodes: %s has no nodes, it is a GGUF file", x.File)
			case nodes:
				return fmt.Errorf("--nodes: %s has no nodes, it is a safetensors file", x.File)
			case asJSON:
				return usage.PrintJSON(s.Out, x)
			}
			return inspection.Print(s.Out, x)
		},
	}
	usage.JSONFlag(cmd, &asJSON, attnx.Inspection{})
	cmd.Flags().BoolVar(&nodes, "nodes", false, "ONNX: print the graph, a node a line")
	return cmd
}
