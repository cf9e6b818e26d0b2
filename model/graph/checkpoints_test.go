package graph_test

import (
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/model/graph"
)

// follow checks that a schedule computes every task from its arguments, and
// returns how many turns there are again.
func follow(t *testing.T, tasks []graph.Task, turns []graph.Turn, waits []graph.Wait) (again int) {
	t.Helper()
	first := map[int]bool{}
	for at, turn := range turns {
		task := tasks[turn.Task]
		if len(turn.Args) != len(task.Args) {
			t.Fatalf("turn %d has %d arguments, its task %d", at, len(turn.Args), len(task.Args))
		}
		for i, a := range turn.Args {
			if a >= at || turns[a].Task != task.Args[i] {
				t.Fatalf("turn %d reads turn %d for task %d", at, a, task.Args[i])
			}
		}
		if turn.Again {
			again++
			if turn.After < 1 || turn.After > len(waits) {
				t.Fatalf("turn %d waits for %d", at, turn.After)
			}
			for _, w := range waits[turn.After-1] {
				if w >= at || turns[w].Again {
					t.Fatalf("turn %d waits for turn %d", at, w)
				}
			}
		} else if first[turn.Task] {
			t.Fatalf("task %d has two first turns", turn.Task)
		}
		first[turn.Task] = first[turn.Task] || !turn.Again
	}
	for i, task := range tasks {
		if task.Output && !first[i] {
			t.Fatalf("output %d is not computed", i)
		}
	}
	return again
}

// A chain of n layers needs the memory of about 2√n results (Chen et al.,
// arXiv:1604.06174, section 4.1), and not of n.
func TestScheduleOfChain(t *testing.T) {
	const n, size = 64, 100
	tasks := []graph.Task{{Leaf: true}}
	for i := range n {
		tasks = append(tasks, graph.Task{Args: []int{i}, Bytes: size})
	}
	for i := n; i > 0; i-- {
		tasks = append(tasks, graph.Task{Args: []int{len(tasks) - 1, i}, Bytes: size})
	}
	tasks[len(tasks)-1].Output = true
	turns, waits := graph.Schedule(tasks, n)
	if turns == nil {
		t.Fatal("nothing is computed again")
	}
	again := follow(t, tasks, turns, waits)
	last := make([]int, len(turns))
	for at, turn := range turns {
		for _, a := range turn.Args {
			last[a] = at
		}
	}
	peak, now := 0, 0
	for at := range turns {
		if !tasks[turns[at].Task].Leaf {
			now++
		}
		peak = max(peak, now)
		for a := range at {
			if last[a] == at && !tasks[turns[a].Task].Leaf {
				now--
			}
		}
	}
	t.Logf("%d results of %d at one time, %d computed again", peak, n, again)
	if peak > 2*8+3 || again >= n {
		t.Errorf("%d results of %d are needed at one time, and %d computed again: at most 2√%[2]d + 3, and each once", peak, n, again)
	}
}

// Whatever the tasks are, each has its arguments.
func TestScheduleOfAny(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	changed := 0
	for range 300 {
		n := 10 + r.IntN(60)
		loss := n/2 + r.IntN(n/4)
		tasks := make([]graph.Task, n)
		for i := range tasks {
			task := graph.Task{Bytes: int64(1 + r.IntN(1000)), Leaf: i < 2 || r.IntN(8) == 0 && i != loss}
			if !task.Leaf {
				for range 1 + r.IntN(3) {
					task.Args = append(task.Args, max(r.IntN(i), min(i-1, r.IntN(i+8))))
				}
				task.View = r.IntN(4) == 0
			}
			task.Output = i == loss || i > loss && r.IntN(6) == 0 || r.IntN(20) == 0
			tasks[i] = task
		}
		if turns, waits := graph.Schedule(tasks, loss); turns != nil {
			changed++
			follow(t, tasks, turns, waits)
		}
	}
	if changed < 20 {
		t.Errorf("%d of 300 were changed", changed)
	}
}
