package revocation

import "context"

// Lifter is a [Store] whose entries can be looked at, and lifted: a mistake is undone before the entry ends. A store that
// cannot do it leaves it out, and whoever offers it to people says so.
type Lifter interface {
	Store

	// InForce returns what is in force for the value of e, of which only Issuer, By and Value matter: entries that deny
	// together what was revoked for it and has not ended, four at most. It is empty if nothing is. Errors are [ErrInvalid]
	// for an e that names no value, and the store's own trouble.
	InForce(ctx context.Context, e Entry) ([]Entry, error)

	// Lift takes off all that is in force for the value of e, of which only Issuer, By and Value matter. When it returns
	// nil, no call of Revoked that begins later, in any process that shares the store, finds what was in force before;
	// what is revoked afterwards is. It is no error if there is nothing. A token that another entry denies stays denied.
	//
	// An error means that it may be in force still, or again after a restart: [ErrInvalid], or the store's own trouble.
	// Calling again is always safe.
	Lift(ctx context.Context, e Entry) error
}

var (
	_ Lifter = (*Memory)(nil)
	_ Lifter = (*File)(nil)
)

// reference is the key of the value that e names.
func (e *Entry) reference() (key, error) {
	named := Entry{Issuer: e.Issuer, By: e.By, Value: e.Value}
	return key{e.Issuer, e.Value, e.By}, named.validate()
}

// InForce implements [Lifter].
func (m *Memory) InForce(_ context.Context, e Entry) ([]Entry, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	k, err := e.reference()
	if err != nil {
		return nil, err
	}
	r, _ := m.table.get(k, m.table.hash(k))
	return r.live(m.table.span, floor(m.now())).entries(k), nil
}

// Lift implements [Lifter].
func (m *Memory) Lift(_ context.Context, e Entry) error {
	_, err := m.lift(&e)
	return err
}

// lift returns the key of what it took off.
func (m *Memory) lift(e *Entry) (key, error) {
	if m.closed.Load() {
		return key{}, ErrClosed
	}
	k, err := e.reference()
	if err == nil {
		m.table.lift(k)
	}
	return k, err
}

// InForce implements [Lifter]. It reads memory only.
func (f *File) InForce(ctx context.Context, e Entry) ([]Entry, error) { return f.mem.InForce(ctx, e) }

// Lift implements [Lifter]. It returns when the entry is off the disk. If it returns [ErrDisk], the entry is no longer in
// force in this process, but may be back after a restart.
func (f *File) Lift(_ context.Context, e Entry) error {
	k, err := f.mem.lift(&e)
	if err != nil {
		return err
	}
	return f.save(changes{entries: []key{k}})
}
