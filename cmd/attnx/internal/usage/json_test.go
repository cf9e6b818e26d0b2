package usage

import (
	"reflect"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// A help names the fields as they are written, with their nesting.
func TestFields(t *testing.T) {
	type inner struct {
		A int               `json:"a"`
		B map[string]string `json:"b,omitempty"`
	}
	type outer struct {
		One   *float64       `json:"one"`
		Skip  int            `json:"-"`
		Many  []inner        `json:"many"`
		Ptr   *inner         `json:"ptr"`
		Lists [][]float64    `json:"lists"`
		N     runtime.Number `json:"n"`
	}
	if got, want := strings.Join(fields(reflect.TypeFor[outer]()), ", "), "one, many[] (a, b.*), ptr (a, b.*), lists[][], n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
