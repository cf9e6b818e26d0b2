package graph_test

import "github.com/attnx/attnx/internal/memory"

// These tests hold little and drop much: collecting each few megabytes would take a third of their time.
func init() { memory.CollectFrom(64 << 20) }
