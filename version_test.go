package attnx

import (
	"runtime/debug"
	"testing"
)

// TestBuildVersion: the version is that of attnx, in its own command and in other programs.
func TestBuildVersion(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "true"}}
	for _, c := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "(unknown)"},
		{&debug.BuildInfo{}, "(devel)"},
		{&debug.BuildInfo{Main: debug.Module{Path: "a.com/b", Version: "v9.0.0"}, Deps: []*debug.Module{{Path: "a.com/c", Version: "v3.0.0"}, {Path: "github.com/attnx/attnx", Version: "v1.0.0"}}, Settings: vcs}, "v1.0.0"},
		{&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		{&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs}, "(devel)\nrevision 0123456789ab, modified"},
		{&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: vcs[:1]}, "v1.2.3\nrevision 0123456789ab"},
	} {
		if got := buildVersion(c.info, c.info != nil); got != c.want {
			t.Errorf("%+v: %q, want %q", c.info, got, c.want)
		}
	}
}
