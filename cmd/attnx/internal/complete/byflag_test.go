package complete

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// ByFlag offers what fits the value of another flag.
func TestByFlag(t *testing.T) {
	cmd := &cobra.Command{Use: "x"}
	cmd.Flags().String("task", "text", "")
	offer := ByFlag("task", "translate", []string{"t5"}, []string{"gpt2", "gru"})
	for task, want := range map[string][]string{"text": {"gpt2", "gru"}, "translate": {"t5"}} {
		if err := cmd.Flags().Set("task", task); err != nil {
			t.Fatal(err)
		}
		if got, _ := offer(cmd, nil, ""); !slices.Equal(got, want) {
			t.Errorf("--task %s: %q, expected %q", task, got, want)
		}
	}
}
