package p256

import "filippo.io/nistec"

// The digits of a scalar in rows and columns: digit i belongs to tooth i/32, block i/16 mod 2 and column i mod 16. One
// block would halve the memory for 16 doublings more, 3 % of what crypto/ecdsa takes; four would double it for 8 fewer.
const (
	teeth   = 8
	blocks  = 2
	columns = 256 / teeth / blocks

	entries = 1 << (teeth - 1) // of a block; the others are their negatives
	all     = entries - 1
)

// Size is what a [Table] takes, in octets.
const Size = blocks * entries * 96

// Table holds the multiples of one key Q from which its products are summed: entry j of block b is the sum of ±2ⁱ·Q
// over the teeth i = 16·b, 16·b+32, …, where the last tooth is positive and the sign of any other is that of its bit
// in j, 1 for plus. It is immutable; [New] makes it.
type Table struct {
	block [blocks][entries]nistec.P256Point
}

// empty reports whether t is the zero Table, under which any key's signatures would be those of the point at infinity.
// No entry of another is infinite: its sum is odd or 2¹⁶ times an odd number, and its absolute value is below n.
func (t *Table) empty() bool { return t.block[0][0].IsInfinity() == 1 }

func newTable(q *nistec.P256Point) *Table {
	t := new(Table)
	for b := range t.block {
		fill(&t.block[b], q)
		for range columns {
			q.Double(q)
		}
	}
	return t
}

// fill computes the first block of a table for q.
func fill(entry *[entries]nistec.P256Point, q *nistec.P256Point) {
	var tooth [teeth]nistec.P256Point
	tooth[0] = *q
	for i := 1; i < teeth; i++ {
		tooth[i] = tooth[i-1]
		for range blocks * columns {
			tooth[i].Double(&tooth[i])
		}
	}
	// All minus but the last, and from there one sign after the other turned.
	entry[0] = tooth[teeth-1]
	for i := range teeth - 1 {
		entry[0].Add(&entry[0], new(nistec.P256Point).Negate(&tooth[i]))
	}
	for i := range teeth - 1 {
		twice := tooth[i].Double(&tooth[i])
		for j := range 1 << i {
			entry[1<<i|j].Add(&entry[j], twice)
		}
	}
}

// times returns k·Q for an odd k of 32 octets, in the form that the package comment gives.
func (t *Table) times(k []byte) *nistec.P256Point {
	// Bit i of d is set where digit i is 1, and clear where it is −1.
	d := fromBytes(k).shift(1)
	d.w3 |= 1 << 63
	rows := [teeth]uint32{
		uint32(d.w0), uint32(d.w0 >> 32), uint32(d.w1), uint32(d.w1 >> 32),
		uint32(d.w2), uint32(d.w2 >> 32), uint32(d.w3), uint32(d.w3 >> 32),
	}
	sum, minus := nistec.NewP256Point(), new(nistec.P256Point)
	for c := columns - 1; c >= 0; c-- {
		if c < columns-1 {
			sum.Double(sum)
		}
		for b := range blocks {
			column := 0
			for i, row := range rows {
				column |= int(row>>(b*columns+c)&1) << i
			}
			multiple := &t.block[b][column&all]
			if column&entries == 0 {
				multiple = minus.Negate(&t.block[b][^column&all])
			}
			if c == columns-1 && b == 0 {
				sum.Set(multiple)
			} else {
				sum.Add(sum, multiple)
			}
		}
	}
	return sum
}
