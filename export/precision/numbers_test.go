package precision_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
)

func TestParseNumbers(t *testing.T) {
	for name, want := range map[string]format.DType{"float32": format.Float32, "float16": format.Float16, "bfloat16": format.BFloat16} {
		if got, err := precision.ParseDType(name); got != want || err != nil {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if _, err := precision.ParseDType("f16"); err == nil || !strings.Contains(err.Error(), "take float32, float16 or bfloat16") {
		t.Error(err)
	}
	if q, err := precision.ParseQuantize("int4"); q != precision.Int4 || err != nil {
		t.Error(err)
	}
	if _, err := precision.ParseQuantize("int2"); err == nil || !strings.Contains(err.Error(), "take int8 or int4") {
		t.Error(err)
	}
}
