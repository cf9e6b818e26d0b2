package tokens

// container/heap would box every element. This heap is a slice whose first
// element comes before all others.

// heapPush adds x to the heap q.
func heapPush[T any](q []T, x T, before func(a, b T) bool) []T {
	q = append(q, x)
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !before(q[i], q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
	return q
}

// heapPop removes the first element of the heap q, which must not be empty.
func heapPop[T any](q []T, before func(a, b T) bool) (T, []T) {
	top, last := q[0], len(q)-1
	q[0] = q[last]
	q = q[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return top, q
		}
		if down+1 < last && before(q[down+1], q[down]) {
			down++
		}
		if !before(q[down], q[i]) {
			return top, q
		}
		q[i], q[down] = q[down], q[i]
		i = down
	}
}
