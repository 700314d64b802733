/*
 * The memory of used proofs in epochs, as redisstore keeps it, for SPIN. doc.go says what the names mean, what is left
 * out, and why that loses nothing. Each NO_… takes a rule away, each X… lets happen what the protocol excludes, and a
 * word such as LOSSES chooses what else goes wrong beside restarts. model_test.go runs them all.
 *
 * The property: no proof is accepted twice (the assertions that name accepted).
 */

#define INSTANCES 3
#ifndef PROOFS
#define PROOFS    2
#endif
#ifdef SIMPLE
#define EPOCHS    3 /* names in use at the same time; found asserts that they suffice */
#else
#define EPOCHS    11
#endif
#define GONE      (EPOCHS + 1) /* one that no server can answer for any more */
#define NONE      2 /* no server */

#define has(set, p)   (((set) >> (p)) & 1)
#define with(set, p)  ((set) | (1 << (p)))

/* The servers. Each is a process of redis-server, or that which was started in its place. */
bool live[2];        /* can be reached, and is a master */
bool follows;        /* the other server is a replica of the master */
byte master;         /* the last that was made one */
byte marker[2];      /* the epoch whose marker is there; 0: none */
byte claims[2];      /* the set of proofs whose keys are there */
byte failovers, restarts, losses;

/* The epochs. */
byte home[GONE + 1];    /* the process that has its script */
byte begin[GONE + 1];   /* the set of proofs that were made before it began */
bool vouched[GONE + 1]; /* a renewal by one that vouches may be executed any time: its deadline has not passed */

/* The proofs. */
byte made, accepted; /* sets */

/* The instances. */
byte epoch[INSTANCES];   /* 0: none */
byte old[INSTANCES];     /* the set of proofs made before its Since */
#define idle 0
#define joining 1
#define founding 2
#define alone 3
#define sent 4
#define fresh 5
byte doing[INSTANCES];  /* what is on the way beside the calls */
byte other[INSTANCES];   /* the epoch of that */
byte call[INSTANCES];   /* the claim that is on the way */
byte proof[INSTANCES];
byte under[INSTANCES];   /* the epoch that it was sent with; 0: to be sent again */

#ifdef LOSSES
bool ahead[INSTANCES];   /* it has seen a higher count than the server has now */
bool unlike[INSTANCES];  /* the server's sign is not that with which it joined, and it has not looked */
#define forget_losses(i)  ahead[i] = 0; unlike[i] = 0
#define is_ahead(i)       ahead[i]
#define is_unlike(i)      unlike[i]
#else
#define forget_losses(i)  skip
#define is_ahead(i)       0
#define is_unlike(i)      0
#endif

#ifdef CLOCKS
bool wrong[INSTANCES];   /* its clock differs by more than MaxSkew */
byte over;               /* the proofs that a right clock refuses for their age */
#define is_wrong(i)       wrong[i]
#define in_time(i, p)     (!has(over, p) || wrong[i])
#else
#define is_wrong(i)       0
#define in_time(i, p)     1
#endif

#ifdef FALLBACK
byte issuer[PROOFS];     /* the instance whose local nonce it has, from 1 on; 0: no local one, ENDED: of a life that ended */
byte memory[INSTANCES];  /* the sets of proofs in their own memories */
#define ENDED 9
#ifdef NO_LOCAL
#define shared_nonce(p)   1
#else
#define shared_nonce(p)   (issuer[p] == 0)
#endif
#else
#define shared_nonce(p)   1
#endif

#ifdef REGIONS
byte region[PROOFS];     /* that the nonce names */
#define reaches(i, s)     (((i) & 1) == (s))
#ifdef NO_REGION
#define counts(i, p)      1
#else
#define counts(i, p)      (region[p] == ((i) & 1))
#endif
#else
#define reaches(i, s)     1
#define counts(i, p)      1
#endif

#ifdef WAIT
byte waits[INSTANCES];   /* the server whose replica must have the claim; NONE: it has */
#endif

/* A server answers for an epoch: it has the script and the marker. */
#ifdef NO_BOUND
#define has_script(s, e)  1
#else
#define has_script(s, e)  (home[e] == (s))
#endif
#define in_epoch(s, e)    (has_script(s, e) && marker[s] == (e))

#ifdef NO_OLDER
#define older(i)          0
#else
#define older(i)          is_ahead(i)
#endif

#ifdef NO_ATOMIC
#define executes(i, s)    has_script(s, under[i])
#else
#define executes(i, s)    (in_epoch(s, under[i]) && !older(i))
#endif

#ifdef NO_CLOCK
#define clock_refuses(i)  0
#else
#define clock_refuses(i)  is_wrong(i)
#endif

#ifdef X4
#define looked(i)         1
#else
#define looked(i)         (!is_unlike(i))
#endif

#ifdef NO_ADOPT
#define saw_renewal(i)    1
#else
#define saw_renewal(i)    vouched[epoch[i]]
#endif

#ifdef NO_LEASE_AFTER
#define believed(i)       1
#else
#define believed(i)       (epoch[i] == under[i])
#endif

#ifdef NO_MOVED
#define moved(i)          0
#elif defined(NO_LEASE_AFTER) /* nothing says that it has no epoch any more */
#define moved(i)          (epoch[i] != 0 && has(old[i], proof[i]))
#else
#define moved(i)          (epoch[i] == 0 || has(old[i], proof[i]))
#endif

#if defined(WAIT) && !defined(NO_WAIT)
#define confirmed(i)      (waits[i] == NONE)
#else
#define confirmed(i)      1
#endif

#ifdef TWO_MASTERS
#define may_promote       (failovers == 0 || follows)
#else
#define may_promote       (!live[master])
#endif

/*
 * A recorded run. Instances then do what can be seen only as it was recorded, and whatever else they like; the run is one
 * of the model if the search comes to its end, where an assertion fails. The variable TRACE of the environment says what
 * comes: for each event its rule, the instance and the proof.
 */
#define ANY 255
#ifdef TRACE
#define JOIN   1
#define FOUND  2
#define ADOPT  3
#define ALONE  4
#define END    5
#define ACCEPT 6
byte at, length;
byte what, whose, which; /* the event that comes: its rule, the instance and the proof */
#define comes(rule, i, p) (what == (rule) && whose == (i) && ((rule) != ACCEPT || which == (p)))
#define note  at++; c_code { expect(); }; assert(at < length)
#define quiet (epoch[0] == 0 && epoch[1] == 0 && epoch[2] == 0) /* everybody's END comes before what ends all leases */
#else
#define comes(rule, i, p) 1
#define note  skip
#define quiet 1
#endif

/* The instances are alike, unless it matters which is which. */
#if !defined(FALLBACK) && !defined(REGIONS) && !defined(TRACE)
#define ALIKE
#endif
byte e_, k_, new_; /* zero between steps */

#ifdef TRACE
c_code {
	#define LONGEST 100
	static int events[LONGEST + 1][3];
	static void expect(void) {
		now.what = events[now.at][0]; now.whose = events[now.at][1]; now.which = events[now.at][2];
	}
	static void read_trace(void) {
		const char *s = getenv("TRACE");
		int *e, n;
		for (; e = events[now.length], sscanf(s, "%d %d %d %n", e, e + 1, e + 2, &n) == 3; s += n, now.length++)
			if (now.length == LONGEST) { fprintf(stderr, "TRACE is too long"); exit(1); }
		expect();
	}
}
#endif

/* What an instance leaves behind when it leaves an epoch. Since is set when it joins the next. */
inline leave(i) {
	epoch[i] = 0; old[i] = 0; forget_losses(i);
	if
	:: doing[i] == alone -> doing[i] = idle
	:: else
	fi
}

inline drop_call(i) {
	call[i] = idle; proof[i] = 0; under[i] = 0;
#ifdef WAIT
	waits[i] = NONE;
#endif
}

/*
 * tidy brings a state into the form that stands for all that differ in names alone: epochs are numbered in the order in
 * which they are met, and instances sorted, which all follow the same rules. What no step can read any more is zero.
 */
inline tidy() { new_ = 0; c_code { tidy(); } }

c_code {
	static int key(int i) {
		int more = 0;
#ifdef LOSSES
		more = more * 4 + now.ahead[i] * 2 + now.unlike[i];
#endif
#ifdef CLOCKS
		more = more * 2 + now.wrong[i];
#endif
#ifdef WAIT
		more = more * 4 + now.waits[i];
#endif
		return (((((((more * 16 + now.epoch[i]) * 16 + now.under[i]) * 16 + now.other[i]) * 16 + now.doing[i]) * 16 + now.call[i]) * 4 +
			now.proof[i]) * 4 + now.old[i]);
	}
	static void number(unsigned char *e, unsigned char *names, int *n) {
		if (*e && *e != GONE && !names[*e]) names[*e] = ++*n;
		if (*e != GONE) *e = names[*e];
	}
	#define SWAP(list) do { int x = list[i]; list[i] = list[i + 1]; list[i + 1] = x; } while (0)
	static int unused(void) {
		int i, e = 0;
		for (i = 0; i < 2; i++)
			if (now.marker[i] > e) e = now.marker[i];
		for (i = 0; i < INSTANCES; i++) {
			if (now.epoch[i] > e && now.epoch[i] != GONE) e = now.epoch[i];
			if (now.under[i] > e && now.under[i] != GONE) e = now.under[i];
			if (now.other[i] > e) e = now.other[i];
		}
		return e + 1;
	}
	/* Proofs are alike as well. */
	static int weight(int p) {
		int i, n = (now.made >> p & 1) * 2 + (now.accepted >> p & 1);
		n = n * 4 + (now.claims[0] >> p & 1) * 2 + (now.claims[1] >> p & 1);
		for (i = 0; i < 2; i++)
			n = n * 2 + (now.begin[now.marker[i]] >> p & 1);
		n *= 512;
		for (i = 0; i < INSTANCES; i++)
			n += (now.old[i] >> p & 1) * 2 + (now.call[i] != idle && now.proof[i] == p) * (now.call[i] * 16 + now.epoch[i]);
		return n;
	}
	#define EXCHANGE(set) (set) = ((set) & 1) << 1 | (set) >> 1
	static void exchange(void) {
		int i;
		EXCHANGE(now.made); EXCHANGE(now.accepted); EXCHANGE(now.claims[0]); EXCHANGE(now.claims[1]);
		for (i = 1; i <= EPOCHS; i++) EXCHANGE(now.begin[i]);
		for (i = 0; i < INSTANCES; i++) {
			EXCHANGE(now.old[i]);
			if (now.call[i] != idle) now.proof[i] = 1 - now.proof[i];
		}
	}
	/* Nothing can be told from something that no step will ever look at. */
	static void simplify(void) {
		int i, s, e, p;
		for (s = 0; s < 2; s++) /* the marker of an epoch whose script is gone is as good as none */
			if (now.marker[s] && now.home[now.marker[s]] == NONE) now.marker[s] = 0;
		for (i = 0; i < INSTANCES; i++) { /* an epoch without marker does not come back, whatever its name */
			e = now.under[i];
			int gone = e != now.marker[0] && e != now.marker[1];
			if (gone && e != now.epoch[i]) {
				now.under[i] = 0;
				if (now.call[i] == fresh) { now.call[i] = idle; now.proof[i] = 0; }
			}
			if (gone && now.under[i]) now.under[i] = GONE;
			e = now.epoch[i];
			if (e && e != now.marker[0] && e != now.marker[1]) now.epoch[i] = GONE;
		}
		for (e = 1; e <= EPOCHS; e++) /* nobody takes over the beginning of an epoch that nobody vouches for */
			if (!now.vouched[e]) now.begin[e] = 0;
			else if (e != now.marker[0] && e != now.marker[1]) { now.begin[e] = 0; now.vouched[e] = 0; }
#ifdef ALIKE
		for (p = 0; p < PROOFS; p++) { /* a proof that is old for everybody */
			int live = !(now.made >> p & 1);
			for (i = 0; i < INSTANCES; i++)
				live |= (now.epoch[i] && !(now.old[i] >> p & 1)) || (now.call[i] != idle && now.proof[i] == p);
			for (e = 1; e <= EPOCHS; e++)
				live |= now.vouched[e] && !(now.begin[e] >> p & 1);
			if (!live) {
				now.claims[0] &= ~(1 << p); now.claims[1] &= ~(1 << p); now.accepted |= 1 << p;
			}
		}
#endif
	}
	static void tidy(void) {
		int i, n = 0, again;
#if defined(ALIKE) && !defined(CLOCKS)
		if (weight(0) < weight(1)) exchange();
#endif
		unsigned char names[EPOCHS + 1] = { 0 }, h[EPOCHS + 1], b[EPOCHS + 1], v[EPOCHS + 1];
#ifdef SIMPLE
		simplify();
#endif
		number(&now.marker[0], names, &n);
		number(&now.marker[1], names, &n);
		int marked = n;
		for (i = 0; i < INSTANCES; i++) {
			number(&now.epoch[i], names, &n);
			number(&now.under[i], names, &n);
			number(&now.other[i], names, &n);
		}
		for (i = 1; i <= EPOCHS; i++) { h[i] = NONE; b[i] = 0; v[i] = 0; }
		for (i = 1; i <= EPOCHS; i++)
			if (names[i] && names[i] <= marked) {
				h[names[i]] = now.home[i]; b[names[i]] = now.begin[i]; v[names[i]] = now.vouched[i];
			} else if (names[i]) {
				b[names[i]] = now.begin[i];
			}
		for (i = 1; i <= EPOCHS; i++) { now.home[i] = h[i]; now.begin[i] = b[i]; now.vouched[i] = v[i]; }
#ifdef ALIKE
		do {
			again = 0;
			for (i = 0; i + 1 < INSTANCES; i++)
				if (key(i) > key(i + 1)) {
					SWAP(now.epoch); SWAP(now.under); SWAP(now.other); SWAP(now.doing); SWAP(now.call);
					SWAP(now.proof); SWAP(now.old);
#ifdef LOSSES
					SWAP(now.ahead); SWAP(now.unlike);
#endif
#ifdef CLOCKS
					SWAP(now.wrong);
#endif
#ifdef WAIT
					SWAP(now.waits);
#endif
					again = 1;
				}
		} while (again);
#endif
	}
}

/* found begins an epoch at a server, in one step there with all its effects: FOUND. */
inline found(s, beginning) {
	/* Names are in use from 1 on, by no more than the markers and what instances know. */
	c_code { now.new_ = unused(); };
	assert(new_ <= EPOCHS);
	marker[s] = new_; home[new_] = s; begin[new_] = beginning; vouched[new_] = 0
}

#define reachable(i, s) (live[s] && reaches(i, s))

/* JOIN: the epoch of the server if it can be joined, or FOUND: a new one. */
inline join(i, s) {
	if
	:: marker[s] != 0 && in_epoch(s, marker[s]) -> doing[i] = joining; other[i] = marker[s]
	:: else -> found(s, made); doing[i] = founding; other[i] = new_
	fi;
	forget_losses(i)
}

/* The answer to that. */
inline joined(i) {
	epoch[i] = other[i];
	if
	:: doing[i] == founding -> old[i] = begin[epoch[i]]; vouched[epoch[i]] = 1
	:: else ->
#ifdef NO_OWN_START
		old[i] = begin[epoch[i]];
#else
		old[i] = made;
#endif
#ifdef NO_VOUCH
		vouched[epoch[i]] = 1;
#endif
	fi;
	doing[i] = idle; other[i] = 0
}

/* ADOPT: another that vouches has renewed since this one looked. */
inline adopt(i, s) {
	if
	:: in_epoch(s, epoch[i]) && !older(i) ->
		vouched[epoch[i]] = 1; old[i] = begin[epoch[i]]
	:: else -> leave(i)
	fi
}

#ifdef NO_ALONE_SIGN
#define same_process(i, s) 1
#else
#define same_process(i, s) (home[epoch[i]] == (s))
#endif

/* ALONE: an epoch with its own beginning. */
inline go_alone(i, s) {
	found(s, old[i]);
	if
	:: same_process(i, s) ->
		epoch[i] = new_; vouched[new_] = 1; doing[i] = idle; forget_losses(i)
	:: else -> leave(i)
	fi
}

/* A request: the verifier looks whether the proof is in time and new enough. */
#define good(i, p) (epoch[i] != 0 && has(made, p) && !has(old[i], p) && in_time(i, p) && shared_nonce(p) && counts(i, p))
inline send(i, p) { call[i] = sent; proof[i] = p; under[i] = epoch[i] }

/* CLAIM: one step at the server. RETRY: one that it has not executed is sent again in the next epoch. */
inline claim(i, s) {
	if
	:: !executes(i, s) ->
		if
		:: epoch[i] == under[i] -> leave(i); note
		:: else
		fi;
		under[i] = 0
	:: executes(i, s) && has(claims[s], proof[i]) -> drop_call(i)
	:: else ->
		claims[s] = with(claims[s], proof[i]); call[i] = fresh;
#ifdef WAIT
		waits[i] = s
#endif
	fi
}

#ifdef NO_ATOMIC /* the marker is read in a step of its own */
#define SENDS(s, p) \
	:: d_step { call[i] == idle && good(i, p) && reachable(i, s) && in_epoch(s, epoch[i]) && !older(i) -> send(i, p) }
#else
#define SENDS(s, p) \
	:: d_step { call[i] == idle && good(i, p) && reachable(i, s) && looked(i) && (answers(i, s) || comes(END, i, ANY)) -> \
		send(i, p); claim(i, s); tidy() }
#endif

#ifdef NO_LATE /* an answer counts however late it comes */
#define JOINED(i) skip
#else
#define JOINED(i) joined(i)
#endif

/* What can be seen of what an instance does at one server. */
#define answers(i, s)  (in_epoch(s, epoch[i]) && !older(i))
#define joins(i, s)    (marker[s] != 0 && in_epoch(s, marker[s]))
#define joining_is(i, s) ((joins(i, s) && comes(JOIN, i, ANY)) || (!joins(i, s) && comes(FOUND, i, ANY)))
#define adopting_is(i, s) ((answers(i, s) && comes(ADOPT, i, ANY)) || (!answers(i, s) && comes(END, i, ANY)))
#define alone_is(i, s) ((same_process(i, s) && comes(ALONE, i, ANY)) || (!same_process(i, s) && comes(END, i, ANY)))
#define again_is(i, s) (under[i] != epoch[i] && under[i] != 0 || answers(i, s) || comes(END, i, ANY))

/* What an instance does at one server. */
#define AT(s) \
	:: d_step { epoch[i] == 0 && doing[i] == idle && reachable(i, s) && !clock_refuses(i) && joining_is(i, s) -> \
		join(i, s); JOINED(i); note; tidy() } \
	:: d_step { watches(i) && saw_renewal(i) && reachable(i, s) && adopting_is(i, s) -> adopt(i, s); note; tidy() } \
	:: d_step { is_alone(i) && reachable(i, s) && as_expected(i, s) && alone_is(i, s) -> go_alone(i, s); note; tidy() } \
	SENDS(s, 0) \
	SENDS(s, 1) \
	:: d_step { call[i] == sent && (under[i] != 0 || epoch[i] != 0) && looked(i) && reachable(i, s) && again_is(i, s) -> \
		if \
		:: under[i] == 0 -> under[i] = epoch[i] \
		:: else \
		fi; \
		claim(i, s); tidy() }

#define watches(i) (epoch[i] != 0 && doing[i] == idle && !is_unlike(i))
#ifdef NO_ALONE_LEASE /* it may rest between the renewal that says so and this */
#define is_alone(i) (doing[i] == alone)
#else
#define is_alone(i) watches(i)
#endif
#ifdef NO_EXPECTED
#define as_expected(i, s) 1
#else
#define as_expected(i, s) (marker[s] == epoch[i] && !is_ahead(i))
#endif

#define counts_now(i) (believed(i) && !moved(i) && !clock_refuses(i) && in_time(i, proof[i]))

proctype Instance(byte i) {
	do
	AT(0)
	AT(1)
#ifdef NO_LATE
	:: d_step { doing[i] == joining || doing[i] == founding -> joined(i); tidy() }
#endif
#ifdef NO_ALONE_LEASE
	:: d_step { watches(i) -> doing[i] = alone; tidy() }
	:: d_step { doing[i] == alone -> doing[i] = idle; tidy() }
#endif
	/* SIGN: a renewal shows that keys were lost. */
	:: d_step { epoch[i] != 0 && is_unlike(i) && comes(END, i, ANY) ->
		note;
#ifdef NO_SIGN
		forget_losses(i);
#else
		leave(i);
#endif
		tidy() }

	/* The answer: fresh. */
	:: d_step { call[i] == fresh && confirmed(i) && (!counts_now(i) || comes(ACCEPT, i, proof[i])) ->
		if
		:: counts_now(i) ->
			assert(!has(accepted, proof[i]));
			accepted = with(accepted, proof[i]); note
		:: else
		fi;
		drop_call(i); tidy() }
	/* There was no answer in time. */
	:: d_step { call[i] != idle -> drop_call(i); tidy() }

	/* LEASE: it was busy for two seconds. */
	:: d_step { epoch[i] != 0 && comes(END, i, ANY) -> leave(i); note; tidy() }
	/* It is started anew. Without a memory of its own that is what came before: no epoch, and no answer. */
#ifdef FALLBACK
	:: d_step { epoch[i] != 0 || call[i] != idle || memory[i] != 0 ->
		leave(i); drop_call(i);
		memory[i] = 0;
#ifndef NO_LIFE
		k_ = 0;
		do
		:: k_ < PROOFS ->
			if
			:: issuer[k_] == i + 1 -> issuer[k_] = ENDED
			:: else
			fi;
			k_++
		:: else -> break
		od;
		k_ = 0;
#endif
		tidy() }
#endif

#ifdef CLOCKS
	/* Its clock is set, wrong and right. */
	:: d_step { losses < 1 -> losses++; wrong[i] = 1; tidy() }
	:: d_step { wrong[i] -> wrong[i] = 0; tidy() }
#endif
#ifdef FALLBACK
	/* LOCAL: while no server answers, a proof with its own local nonce, by its own memory. */
	:: d_step { (!live[0] && !live[1]) && has(made, 0) && issuer[0] == i + 1 && !has(memory[i], 0) ->
		assert(!has(accepted, 0)); accepted = with(accepted, 0); memory[i] = with(memory[i], 0) }
	:: d_step { (!live[0] && !live[1]) && has(made, 1) && issuer[1] == i + 1 && !has(memory[i], 1) ->
		assert(!has(accepted, 1)); accepted = with(accepted, 1); memory[i] = with(memory[i], 1) }
#ifdef NO_LOCAL_MEMORY
	:: d_step { live[0] || live[1] -> memory[i] = 0 }
#endif
#endif
	od
}

/* The two seconds of a lease are over for all, and the deadline of each renewal that is on the way. */
inline time_passes() {
	k_ = 0;
	do
	:: k_ < INSTANCES ->
#ifndef NO_LATE
		if
		:: doing[k_] == joining || doing[k_] == founding -> doing[k_] = idle; other[k_] = 0
		:: else
		fi;
#endif
		if
#ifdef NO_ALONE_LEASE
		:: doing[k_] == alone
#endif
#ifdef NO_LEASE
		:: true
#else
		:: else -> leave(k_)
#endif
		fi;
		k_++
	:: else -> break
	od;
	k_ = 0;
#ifndef NO_DEADLINE
	e_ = 1;
	do
	:: e_ <= EPOCHS -> vouched[e_] = 0; e_++
	:: else -> break
	od;
	e_ = 0;
#endif
	tidy()
}

/* What each instance that knows the epoch of a server notices when that loses something. */
#define knows(k, s) (marker[s] != 0 && (epoch[k] == marker[s] || other[k] == marker[s]))
inline lost(s, sign) {
	k_ = 0;
	do
	:: k_ < INSTANCES ->
		if
		:: knows(k_, s) && sign -> unlike[k_] = 1
		:: knows(k_, s) && !sign -> ahead[k_] = 1
		:: else
		fi;
		k_++
	:: else -> break
	od;
	k_ = 0
}

/* A process ends, and another begins in its place, without scripts. */
inline end_process(s) {
	restarts++;
#ifdef WAIT
	k_ = 0;
	do
	:: k_ < INSTANCES ->
		if
		:: waits[k_] == s -> drop_call(k_)
		:: else
		fi;
		k_++
	:: else -> break
	od;
	k_ = 0;
#endif
	e_ = 1;
	do
	:: e_ <= EPOCHS ->
		if
		:: home[e_] == s -> home[e_] = NONE
		:: else
		fi;
		e_++
	:: else -> break
	od;
	e_ = 0
}

#define RESTARTS(s) \
	:: d_step { restarts < 1 -> end_process(s); marker[s] = 0; claims[s] = 0; tidy() } \
	:: d_step { restarts < 1 -> end_process(s); tidy() } \
	:: d_step { restarts < 1 && s == master && follows -> \
		end_process(s); marker[s] = marker[1 - s]; claims[s] = claims[1 - s]; tidy() }

/* A client makes a proof. */
#if defined(FALLBACK)
#define MAKES(p) \
	:: d_step { unmade(p) -> made = with(made, p) } \
	:: d_step { unmade(p) && !live[0] && !live[1] -> issuer[p] = 1; made = with(made, p) } \
	:: d_step { unmade(p) && !live[0] && !live[1] -> issuer[p] = 2; made = with(made, p) }
#elif defined(REGIONS)
#define MAKES(p) \
	:: d_step { unmade(p) -> region[p] = 0; made = with(made, p) } \
	:: d_step { unmade(p) -> region[p] = 1; made = with(made, p) }
#else
#define MAKES(p) \
	:: d_step { unmade(p) -> made = with(made, p); tidy() }
#endif
#define unmade(p) (p < PROOFS && !has(made, p) && (p == 0 || has(made, 0)))

proctype World() {
	do
	MAKES(0)
	MAKES(1)

#ifndef REGIONS
	/* The replica receives what the master has done up to now. */
	:: d_step { follows && live[master] ->
		marker[1 - master] = marker[master]; claims[1 - master] = claims[master];
#ifdef WAIT
		k_ = 0;
		do
		:: k_ < INSTANCES ->
			if
			:: waits[k_] == master -> waits[k_] = NONE
			:: else
			fi;
			k_++
		:: else -> break
		od;
		k_ = 0;
#endif
		tidy() }
	/* The master is cut off or halted; and if nothing is done about it, it comes back. */
	:: d_step { live[master] && failovers < 2 -> live[master] = 0 }
	:: d_step { !live[master] -> live[master] = 1 }
	/* The other is made master: there, and back. The one before keeps what it has, and its process. */
	:: d_step { failovers < 2 && may_promote && quiet ->
		failovers++; follows = 0; master = 1 - master; live[master] = 1;
#ifndef TWO_MASTERS
		time_passes()
#endif
		}
	/* The one before becomes a replica, and takes over everything. */
	:: d_step { failovers > 0 && !follows && live[master] ->
		live[1 - master] = 0; follows = 1; marker[1 - master] = marker[master]; claims[1 - master] = claims[master];
#ifdef WAIT
		k_ = 0;
		do
		:: k_ < INSTANCES ->
			if
			:: waits[k_] == 1 - master -> drop_call(k_) /* UNBLOCKED */
			:: waits[k_] == master -> waits[k_] = NONE
			:: else
			fi;
			k_++
		:: else -> break
		od;
		k_ = 0;
#endif
		tidy() }
#endif

	/* A process is started anew: with nothing, with everything, or with what a copy has. */
	RESTARTS(0)
	RESTARTS(1)

#ifdef LOSSES
	/* FLUSHALL, SWAPDB. */
	:: d_step { live[master] && losses < 1 -> losses++; marker[master] = 0; claims[master] = 0; tidy() }
	/* A state of more than a lease ago is put back: the count is less than any that is held has seen. */
	:: d_step { live[master] && losses < 1 && marker[master] != 0 ->
		losses++; claims[master] = 0; lost(master, 0);
#ifndef NO_OLDER
		vouched[marker[master]] = 0
#endif
		}
	/* Keys are evicted, or the process was a replica for a while. */
	:: d_step { live[master] && losses < 1 && marker[master] != 0 ->
		losses++; claims[master] = 0; lost(master, 1);
#ifndef NO_SIGN
		vouched[marker[master]] = 0
#endif
		}
#endif
#ifdef X6
	:: d_step { live[master] && losses < 1 -> losses++; claims[master] = 0 }
#endif
#ifdef CLOCKS
	/* The life of a claim is over, and with it any time at which the proof is in time. */
	:: d_step { has(made, 0) && !has(over, 0) ->
		over = with(over, 0); claims[0] = claims[0] & 2; claims[1] = claims[1] & 2 }
#ifdef NO_WINDOW
	:: d_step { has(claims[master], 0) -> claims[master] = claims[master] & 2 }
#endif
#endif
	od
}

init {
	atomic {
		d_step {
#ifdef TRACE
			c_code { read_trace(); };
#endif
			live[0] = 1;
#ifdef REGIONS
			live[1] = 1;
#else
			follows = 1;
#endif
			do
			:: k_ < INSTANCES ->
				doing[k_] = idle; call[k_] = idle;
#ifdef WAIT
				waits[k_] = NONE;
#endif
				k_++
			:: else -> break
			od;
			do
			:: e_ <= GONE -> home[e_] = NONE; e_++
			:: else -> break
			od;
			e_ = 0; k_ = 0
		}
		run World(); run Instance(0); run Instance(1); run Instance(2)
	}
}
