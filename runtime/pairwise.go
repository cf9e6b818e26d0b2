package runtime

// levelPair is a level of one factor together with a level of another one.
type levelPair struct{ factor, level, other, otherLevel int }

// pairwise returns at most most rows, each a level of every factor, that are feasible,
// and how many of the feasible pairs of levels occur in them. Each row is begun with a
// pair that is missing and filled, factor by factor, with the level that adds most
// pairs (as in Cohen and others, "The AETG system", IEEE Transactions on Software
// Engineering 23, 1997). sizes are the numbers of levels.
func pairwise(sizes []int, feasible func(row []int) bool, most int) (rows [][]int, covered Count) {
	missing := map[levelPair]bool{}
	var order []levelPair
	for i := range sizes {
		for j := i + 1; j < len(sizes); j++ {
			for a := range sizes[i] {
				for b := range sizes[j] {
					p := levelPair{i, a, j, b}
					if complete(sizes, feasible, p) != nil {
						missing[p] = true
						order = append(order, p)
					}
				}
			}
		}
	}
	covered.Of = len(order)
	for _, p := range order {
		if !missing[p] || len(rows) == most {
			continue
		}
		row := best(sizes, feasible, p, missing)
		rows = append(rows, row)
		for i := range row {
			for j := i + 1; j < len(row); j++ {
				delete(missing, levelPair{i, row[i], j, row[j]})
			}
		}
	}
	covered.Covered = covered.Of - len(missing)
	return rows, covered
}

// complete returns a feasible row with a pair, nil if there is none.
func complete(sizes []int, feasible func(row []int) bool, p levelPair) (found []int) {
	eachRow(sizes, p, func(row []int) bool {
		if feasible(row) {
			found = append([]int(nil), row...)
		}
		return found == nil
	})
	return found
}

// best returns the feasible row with a pair that has most missing pairs.
func best(sizes []int, feasible func(row []int) bool, p levelPair, missing map[levelPair]bool) (found []int) {
	high := -1
	eachRow(sizes, p, func(row []int) bool {
		n := 0
		for i := range row {
			for j := i + 1; j < len(row); j++ {
				if missing[levelPair{i, row[i], j, row[j]}] {
					n++
				}
			}
		}
		if n > high && feasible(row) {
			high, found = n, append(found[:0], row...)
		}
		return true
	})
	return found
}

// eachRow calls f with every row that has a pair until it returns false.
func eachRow(sizes []int, p levelPair, f func(row []int) bool) {
	row := make([]int, len(sizes))
	var fill func(factor int) bool
	fill = func(factor int) bool {
		switch factor {
		case len(sizes):
			return f(row)
		case p.factor, p.other:
			row[factor] = p.level
			if factor == p.other {
				row[factor] = p.otherLevel
			}
			return fill(factor + 1)
		}
		for level := range sizes[factor] {
			row[factor] = level
			if !fill(factor + 1) {
				return false
			}
		}
		return true
	}
	fill(0)
}
