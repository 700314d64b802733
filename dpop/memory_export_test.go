package dpop

// Marks returns how many places of a memory have a mark.
func Marks(m *Memory) (n int) {
	for i := range m.stripes {
		for _, place := range m.stripes[i].marks {
			if place != 0 {
				n++
			}
		}
	}
	return n
}
