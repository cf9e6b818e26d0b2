package graph

import "slices"

// Task is a computation in a list in topological order. Schedule sees what
// computes a step as tasks.
type Task struct {
	Args   []int // the tasks whose results it reads
	Bytes  int64 // of its results
	Extra  int64 // that it needs while it is computed, besides
	View   bool  // its result shares the memory of the first argument
	Leaf   bool  // it is not computed
	Output bool  // its results are read after the run
	Once   bool  // its results are kept
}

// Turn is a task in a schedule. What the forward pass does not keep has a second
// turn in the backward pass.
type Turn struct {
	Task  int
	Args  []int // the turns that compute its arguments
	Again bool  // it is in the backward pass, for a task of the forward pass
	After int   // with Again: 1 + the index of the wait that the arguments outside the schedule's blocks need; 0: none
}

// Wait lists turns that have to end before a block is computed again: those of
// the backward pass so far whose results are still needed.
type Wait []int

// Schedule orders tasks so that a step needs less memory: it cuts the forward
// pass, from which loss is computed, into blocks, keeps what later blocks read,
// and computes the rest of a block again when the backward pass reads it (Chen
// et al., arXiv:1604.06174). Cuts are where few bytes are needed later, whatever
// the network is. Of several numbers of blocks it takes the one with the lowest
// peak; if none is lower by a tenth it returns nil. Waits are for those who do
// not run the turns in order.
func Schedule(tasks []Task, loss int) ([]Turn, []Wait) {
	s := newScheduling(tasks, loss)
	plain, _ := s.turns(nil)
	best := s.peak(plain) * 9 / 10
	var turns []Turn
	var waits []Wait
	for n := 2; n <= 96 && n <= len(tasks); n += max(1, n/3) {
		t, w := s.turns(s.cuts(n))
		if p := s.peak(t); p < best {
			best, turns, waits = p, t, w
		}
	}
	return turns, waits
}

type scheduling struct {
	tasks  []Task
	loss   int
	needed []bool // for the loss; others before it are for the backward pass only
	owner  []int  // whose memory a task's result is
	read   []int  // by owner: the last task of the forward pass that reads it
	used   []int  // the last task that reads it; len(tasks): after the run
}

func newScheduling(tasks []Task, loss int) *scheduling {
	n := len(tasks)
	s := &scheduling{tasks: tasks, loss: loss, needed: make([]bool, n), owner: make([]int, n), read: make([]int, n), used: make([]int, n)}
	s.needed[loss] = true
	for i := loss; i >= 0; i-- {
		for _, a := range tasks[i].Args {
			s.needed[a] = s.needed[a] || s.needed[i]
		}
	}
	for i, t := range tasks {
		s.owner[i], s.read[i], s.used[i] = i, i, i
		if t.View {
			s.owner[i] = s.owner[t.Args[0]]
		}
		if t.Output {
			s.used[i] = n
		}
		for _, a := range t.Args {
			s.used[a] = max(s.used[a], i)
			if s.needed[i] {
				s.read[s.owner[a]] = i
			}
		}
	}
	return s
}

// bytes returns the memory that task i takes for itself.
func (s *scheduling) bytes(i int) int64 {
	if t := s.tasks[i]; !t.Leaf && !t.View {
		return t.Bytes
	}
	return 0
}

// cuts returns up to n-1 tasks after which blocks end: of the tasks around the
// place where a share of the forward pass's bytes are computed, the one after
// which the fewest bytes are read later.
func (s *scheduling) cuts(n int) []int {
	crossing := make([]int64, len(s.tasks)+1) // changes of the bytes read later
	total := int64(0)
	for i := range s.tasks[:s.loss+1] {
		if s.needed[i] {
			crossing[i] += s.bytes(i)
			crossing[s.read[i]] -= s.bytes(i)
			total += s.bytes(i)
		}
	}
	best := make([]int, n) // 1 + a task
	fewest, nearest := make([]int64, n), make([]int64, n)
	done, live := int64(0), int64(0)
	for i := range s.tasks[:s.loss+1] {
		live += crossing[i]
		if !s.needed[i] || s.tasks[i].Leaf {
			continue
		}
		done += s.bytes(i)
		k := int((done*int64(n) + total/2) / max(1, total)) // the nearest share
		if k < 1 || k >= n {
			continue
		}
		off := done*int64(n) - int64(k)*total
		off = max(off, -off)
		if best[k] == 0 || live < fewest[k] || live == fewest[k] && off < nearest[k] {
			best[k], fewest[k], nearest[k] = i+1, live, off
		}
	}
	var out []int
	for _, at := range best {
		if at > 0 {
			out = append(out, at-1)
		}
	}
	return out
}

// turns returns the schedule for blocks that end after the tasks at cuts.
func (s *scheduling) turns(cuts []int) (turns []Turn, waits []Wait) {
	block := func(i int) int { at, _ := slices.BinarySearch(cuts, i); return at }
	kept := make([]bool, len(s.tasks))
	for i, t := range s.tasks {
		fresh := true // computed from leaves alone: its second turn could come at once
		for _, a := range t.Args {
			fresh = fresh && s.tasks[s.owner[a]].Leaf
		}
		o := s.owner[i]
		kept[i] = t.Leaf || t.Output || t.Once || i > s.loss || block(o) == len(cuts) || block(s.read[o]) > block(o) || fresh || kept[o]
	}
	for i := s.loss; i >= 0; i-- {
		for _, a := range s.tasks[i].Args {
			kept[a] = kept[a] || kept[i] && !s.needed[a] // has to be there in the forward pass
		}
	}
	first := make([]int, len(s.tasks))
	again := map[int]int{}   // by task
	waiting := map[int]int{} // by block: 1 + index of its wait
	since := 0               // the first turn that no wait has
	var repeat func(i, now int) int
	repeat = func(i, now int) int {
		if kept[i] {
			return first[i]
		}
		if at, ok := again[i]; ok {
			return at
		}
		b := block(s.owner[i])
		if waiting[b] == 0 {
			var w Wait
			for at := since; at < len(turns); at++ {
				if t := turns[at]; !t.Again && t.Task > s.loss && s.used[t.Task] >= now && !s.tasks[t.Task].Leaf {
					w = append(w, at)
				}
			}
			if len(waits) == 0 {
				w = append(w, first[s.loss])
			}
			since = len(turns)
			waits = append(waits, w)
			waiting[b] = len(waits)
		}
		t := Turn{Task: i, Again: true, After: waiting[b]}
		for _, a := range s.tasks[i].Args {
			t.Args = append(t.Args, repeat(a, now))
		}
		turns = append(turns, t)
		again[i] = len(turns) - 1
		return again[i]
	}
	for i, t := range s.tasks {
		if !kept[i] && !s.needed[i] {
			continue // when the backward pass reads it
		}
		turn := Turn{Task: i}
		for _, a := range t.Args {
			if i <= s.loss {
				turn.Args = append(turn.Args, first[a])
			} else {
				turn.Args = append(turn.Args, repeat(a, i))
			}
		}
		first[i] = len(turns)
		turns = append(turns, turn)
	}
	return turns, waits
}

// peak returns the bytes of the results that are needed at one time, if every
// turn comes after the one before.
func (s *scheduling) peak(turns []Turn) int64 {
	owner, last := make([]int, len(turns)), make([]int, len(turns))
	for i, t := range turns {
		owner[i], last[i] = i, i
		if s.tasks[t.Task].View {
			owner[i] = owner[t.Args[0]]
		}
		for _, a := range t.Args {
			last[owner[a]] = i
		}
		if s.tasks[t.Task].Output && !t.Again {
			last[owner[i]] = len(turns)
		}
	}
	for i := range turns {
		last[owner[i]] = max(last[owner[i]], last[i])
	}
	ends := make([]int64, len(turns)+1)
	now, peak := int64(0), int64(0)
	for i, t := range turns {
		size := s.bytes(t.Task)
		now += size
		ends[last[i]] += size
		peak = max(peak, now+s.tasks[t.Task].Extra)
		now -= ends[i]
	}
	return peak
}
