/*
 * Included by lock.pml, signals.pml, barrier.pml and queue.pml: processes that
 * are killed between any two steps, and their sleep (sleep.c).
 *
 * A sleep ends by a wake, or with its slice. Only a death gives slices: one to
 * each process, for a sleep that it is in or goes to. So what is checked is
 * that nobody needs a slice as long as nobody is killed, and that a death costs
 * each of the others one and no more. Whom a wake finds among several is the
 * kernel's choice, hence anybody.
 *
 * PROCESSES and WORDS: how many there are; the latter are slept on. A death is
 * the moment from which on the others can know of it: a process that was
 * killed and is not yet gone is one that is slow.
 */

#define BIT(p) (1 << (p))
#define IS_ASLEEP(p, word) ((asleep[word] >> (p)) & 1)

bool dead[PROCESSES + 1];      /* mproc__is_dead; the last is init */
byte asleep[WORDS];            /* bit p: process p */
byte slices;                   /* bit p: process p has one */

/* A part of a step, written before it is read within it. */
hidden byte w;

/* SIGKILL, and what the kernel does with it */
inline die(p) {
  dead[p] = true;
  w = 0;
  do
  :: w < WORDS -> asleep[w] = asleep[w] & ~BIT(p); w++
  :: else -> break
  od;
#ifndef M_ENDLESS_SLEEP
  slices = (BIT(PROCESSES) - 1) & ~BIT(p);
#endif
  skip
}

/* FUTEX_WAIT: `holds` is that the word is the observed one */
inline futex_wait(p, word, holds) {
  d_step {
    if
#ifdef M_NO_COMPARISON
    :: true -> asleep[word] = asleep[word] | BIT(p)
#else
    :: holds -> asleep[word] = asleep[word] | BIT(p)
    :: else
#endif
    fi
  }
}

/* Asleep until it is woken; `early`: or until then. */
inline until_woken(p, word, early) {
  if
  :: !IS_ASLEEP(p, word)
  :: d_step { IS_ASLEEP(p, word) && ((slices >> (p)) & 1) ->
       asleep[word] = asleep[word] & ~BIT(p);
       slices = slices & ~BIT(p)
     }
  :: d_step { IS_ASLEEP(p, word) && (early) ->
       asleep[word] = asleep[word] & ~BIT(p)
     }
  fi
}

#define WAKE(p, word) IS_ASLEEP(p, word) -> \
  asleep[word] = asleep[word] & ~BIT(p)

/* FUTEX_WAKE of one, a part of an atomic step */
inline wake_one(word) {
  if
  :: asleep[word] == 0
  :: WAKE(0, word)
  :: WAKE(1, word)
#if PROCESSES > 2
  :: WAKE(2, word)
#endif
#if PROCESSES > 3
  :: WAKE(3, word)
#endif
#if PROCESSES > 4
  :: WAKE(4, word)
#endif
  fi
}
#if PROCESSES > 5
#error more processes than wake_one knows
#endif
