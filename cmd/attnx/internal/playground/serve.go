package playground

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
)

// Serve returns the command serve.
func Serve(s console.Streams) *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve a folder to the browsers of this machine",
		Long: `Serve the files of a folder, such as one of export --playground, until Ctrl-C.
Only this machine reaches the server, at 127.0.0.1. Hidden files are not served.

The server sends the headers that let a page compute in several threads
(Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy). A page of
--playground works without them too, in one thread.`,
		Example: "  attnx serve play/",
		Args:    usage.OneArg("folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if !info.IsDir() {
				return fmt.Errorf("%s: it is a file: name the folder to serve", args[0])
			}
			if port < 0 || port > 65535 {
				return fmt.Errorf("--port %d: it must be from 1 to 65535, or 0 for a free one", port)
			}
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err != nil {
				return fmt.Errorf("--port %d cannot be used: %v: take another, or 0 for a free one", port, err)
			}
			fmt.Fprintf(s.Out, "http://%s/\n", l.Addr())
			fmt.Fprintf(s.Note, "serving %s until Ctrl-C\n", args[0])
			return serve(cmd.Context(), l, args[0])
		},
	}
	cmd.Flags().IntVar(&port, "port", 8080, "port; 0: a free one")
	return cmd
}

// serve answers until ctx ends.
func serve(ctx context.Context, l net.Listener, dir string) error {
	server := &http.Server{Handler: handler(dir), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return context.Cause(ctx)
}

// types are those of the files that browsers refuse under another type. The system's
// own table may lack them.
var types = map[string]string{".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8"}

// handler serves the files of a folder. It answers only requests for this machine by
// a name of its own: a page elsewhere whose name is made to lead here gets nothing.
func handler(dir string) http.Handler {
	files := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		switch {
		case host != "127.0.0.1" && host != "localhost":
			http.Error(w, "this server is for this machine", http.StatusForbidden)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		case strings.Contains(r.URL.Path, "/."):
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		if t := types[strings.ToLower(filepath.Ext(r.URL.Path))]; t != "" {
			h.Set("Content-Type", t)
		}
		files.ServeHTTP(w, r)
	})
}
