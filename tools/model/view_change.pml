/* The view change: can two blocks become final at one height?
 *
 * Every transition stands for a function of consensus/, named beside it. Messages are monotone: once sent, anybody may
 * have received them, at any time, or never. So there are no channels: a guard looks at what has been sent, and every
 * order, loss and delay is covered. Byzantine replicas have no state: they sign every vote, put into their
 * ViewChanges every certificate that exists or hold it back, and lead as they like.
 *
 * Blocks are numbered as a heap: 1 and 2 follow genesis (0), 3 and 4 follow 1, 5 and 6 follow 2. A number is a
 * block's hash: it names height and parent.
 *
 * Sizes, by -D:    VALIDATORS BYZANTINE QUORUM VIEWS (2..4) HEIGHTS (1, 2; the window is as long)
 * Who leads:       FIRST_LEADER=i  view v is led by replica (i + v) mod n; the last BYZANTINE numbers are Byzantine
 *                  ANY_LEADER      nobody can trust a leader in any view: more than any placement of the faulty ones
 * Schedule:        REDUCED         fewer interleavings, see below; only with ANY_LEADER
 * Disks:           DISK_LOSS       one more replica may lose its disk, and says nothing from then on
 * Rules left out:  see the table CONTROLS of tools/model/configurations.py
 */

#define CORRECT (VALIDATORS - BYZANTINE)
#define LAST_VIEW (VIEWS - 1)
#ifdef ANY_LEADER
#define LEADER(v) CORRECT
#else
#define LEADER(v) (((v) + FIRST_LEADER) % VALIDATORS)
#endif
#define LEADER_IS_BYZANTINE(v) (LEADER(v) >= CORRECT)

#define PARENT(b) (((b) - 1) / 2)
#define HEIGHT(b) ((b) == 0 -> 0 : ((b) <= 2 -> 1 : 2))
#define SET(b) (1 << (b))
#define SPENT 7 /* instead of a block: a vote that counts for nothing any more */

/* A prepared certificate as one number; 0 is none. */
#define CERTIFICATE(v, b) ((v) * 8 + (b))
#define VIEW_OF(c) ((c) / 8)
#define BLOCK_OF(c) ((c) % 8)

/* All about one correct replica, what it sent included, is one row: rows can be compared and exchanged. */
#define ROW (4 + 2 * HEIGHTS + 2 * VIEWS * HEIGHTS + LAST_VIEW * (1 + HEIGHTS))
#define VOTES_AT (4 + 2 * HEIGHTS)
#define CHANGES_AT (VOTES_AT + 2 * VIEWS * HEIGHTS)
byte row[CORRECT * ROW];
#define VIEW(r) row[(r) * ROW]                       /* State.view */
#define VOTED(r) row[(r) * ROW + 1]                  /* State.voted_view; VIEWS once its disk is lost */
#define TIP(r) row[(r) * ROW + 2]                    /* State.tip_block: the newest block it delivered */
#define STICKY(r, h) row[(r) * ROW + 2 + (h)]        /* State.prepared: its certificate at height h */
#define BASE(r) row[(r) * ROW + 3 + HEIGHTS]         /* State.base, of the NewView it entered by */
#define AGAIN(r, h) row[(r) * ROW + 3 + HEIGHTS + (h)]                       /* the block that NewView chose */
#define PREPARE(r, v, h) row[(r) * ROW + VOTES_AT + (v) * HEIGHTS + (h) - 1] /* the block it sent a Prepare for */
#define COMMIT(r, v, h) row[(r) * ROW + VOTES_AT + (VIEWS + (v)) * HEIGHTS + (h) - 1]
#define CHANGE(r, v) row[(r) * ROW + CHANGES_AT + ((v) - 1) * (1 + HEIGHTS)] /* its ViewChange to v: 1 + its tip */
#define CHANGE_STICKY(r, v, h) row[(r) * ROW + CHANGES_AT + ((v) - 1) * (1 + HEIGHTS) + (h)]

byte prepared[VIEWS];                /* blocks of which a prepared certificate of this view exists */
byte final;                          /* blocks of which a commit certificate exists */
byte opened[VIEWS];                  /* the NewView of a correct leader: 1 + its base */
byte opened_again[VIEWS * HEIGHTS];
bool lost;                           /* a disk was lost */
byte named;                          /* blocks that a vote or certificate names */

/* Scratch, zero between transitions. */
byte i, j, k, h, u, x, b, votes, mask, start, best[3], taken, before;
bool live, entering, chosen;

/* --- when a replica may vote ---------------------------------------------------------------------------------- */

/* State.spoiled: what it delivered is not what it accepted in this view. */
#define SPOILED(r) (HEIGHT(TIP(r)) == 1 && PREPARE(r, VIEW(r), 1) != 0 && PREPARE(r, VIEW(r), 1) != SPENT \
                    && PREPARE(r, VIEW(r), 1) != TIP(r))
#ifdef VOTES_AFTER_LEAVING
#define IN_VIEW(r) (VOTED(r) < VIEWS)
#else
#define IN_VIEW(r) (VIEW(r) == VOTED(r))
#endif
#define MAY_VOTE(r) (IN_VIEW(r) && !SPOILED(r)) /* State.may_vote */

#ifdef VOTES_BELOW_BASE
#define BEHIND(t, start) false
#else
#define BEHIND(t, start) (HEIGHT(t) < HEIGHT(start))
#endif

/* State.parent_of and chain_fault. */
#ifdef PREPARES_WITHOUT_PARENT
#define FOLLOWS(b) true
#else
#define FOLLOWS(b) (PARENT(b) == TIP(me) \
                    || (TIP(me) == 0 && HEIGHT(b) == 2 && PREPARE(me, VIEW(me), 1) == PARENT(b)))
#endif

/* Slot.candidate: what the NewView chose, else what the leader of the view proposed. */
#define PROPOSED(b) (LEADER_IS_BYZANTINE(VIEW(me)) || LEADER(VIEW(me)) == me \
                     || PREPARE(LEADER(VIEW(me)), VIEW(me), HEIGHT(b)) == (b))
#define CANDIDATE(b) (AGAIN(me, HEIGHT(b)) != 0 -> AGAIN(me, HEIGHT(b)) == (b) : PROPOSED(b))

/* Siblings that nothing names are the same but for their number: the even one is used second. */
#define FIRST_USE(b) (((b) % 2) || ((b) == 2 && named != 0) || (named & (SET((b) - 1) | SET(b))))

/* NormalCase._accept_all, _accept_one. */
#define MAY_PREPARE(b) (MAY_VOTE(me) && !BEHIND(TIP(me), BASE(me)) && HEIGHT(b) > HEIGHT(TIP(me)) \
                        && PREPARE(me, VIEW(me), HEIGHT(b)) == 0 && FOLLOWS(b) && CANDIDATE(b) && FIRST_USE(b))

/* NormalCase._collect. */
#define HAS_CERTIFICATE(r, b) (STICKY(r, HEIGHT(b)) == CERTIFICATE(VIEW(r), b))
#define MAY_COLLECT(r, b) (IN_VIEW(r) && HEIGHT(b) > HEIGHT(TIP(r)) && PREPARE(r, VIEW(r), HEIGHT(b)) == (b) \
                           && (prepared[VIEW(r)] & SET(b)) && !HAS_CERTIFICATE(r, b))

/* NormalCase._commit: above the tip, or above an own Commit of this view, and on that very block. */
#if defined(COMMITS_OUT_OF_ORDER)
#define IN_ORDER(r, b) true
#elif defined(COMMITS_WITHOUT_PARENT)
#define IN_ORDER(r, b) (HEIGHT(b) == HEIGHT(TIP(r)) + 1 || COMMIT(r, VIEW(r), 1) != 0)
#else
#define IN_ORDER(r, b) (PARENT(b) == TIP(r) \
                        || (TIP(r) == 0 && HEIGHT(b) == 2 && COMMIT(r, VIEW(r), 1) == PARENT(b)))
#endif
#define MAY_COMMIT(r, b) (MAY_VOTE(r) && HEIGHT(b) > HEIGHT(TIP(r)) && COMMIT(r, VIEW(r), HEIGHT(b)) == 0 \
                          && HAS_CERTIFICATE(r, b) && IN_ORDER(r, b))

/* NormalCase._deliver and CatchUp: a commit certificate counts in every view, whoever collected it. */
#define MAY_DELIVER(b) (VOTED(me) < VIEWS && (final & SET(b)) && PARENT(b) == TIP(me) && HEIGHT(b) > HEIGHT(TIP(me)))

#define CHANGING (VIEW(me) < VOTED(me) && VOTED(me) < VIEWS) /* State.changing */

/* --- what a replica does -------------------------------------------------------------------------------------- */

#define IS(vote, r, v, b) (vote(r, v, HEIGHT(b)) == (b))
#if CORRECT == 2
#define COUNT(vote, v, b) (IS(vote, 0, v, b) + IS(vote, 1, v, b))
#elif CORRECT == 3
#define COUNT(vote, v, b) (IS(vote, 0, v, b) + IS(vote, 1, v, b) + IS(vote, 2, v, b))
#elif CORRECT == 4
#define COUNT(vote, v, b) (IS(vote, 0, v, b) + IS(vote, 1, v, b) + IS(vote, 2, v, b) + IS(vote, 3, v, b))
#else
#define COUNT(vote, v, b) (IS(vote, 0, v, b) + IS(vote, 1, v, b) + IS(vote, 2, v, b) + IS(vote, 3, v, b) \
                           + IS(vote, 4, v, b))
#endif

/* NormalCase.accept: the Prepare leaves. */
inline accept(a) {
  PREPARE(me, VIEW(me), HEIGHT(a)) = a;
  named = named | SET(a);
  if
  :: COUNT(PREPARE, VIEW(me), a) + BYZANTINE >= QUORUM -> prepared[VIEW(me)] = prepared[VIEW(me)] | SET(a)
  :: else
  fi;
#ifdef FORGETS_CERTIFICATES
  STICKY(me, HEIGHT(a)) = 0;
#endif
  printf("replica %d: Prepare in view %d for block %d on %d\n", me, VIEW(me), a, PARENT(a))
}

#define NOT_BOTH(a, c) (!((final & SET(a)) && (final & SET(c))))

/* NormalCase._commit_one. What may be committed is committed at once: a further Commit takes nothing away from
 * anybody, so a run in which it comes later or never can do nothing that this one cannot. */
inline commit_one(r, h) {
  b = BLOCK_OF(STICKY(r, h));
  if
  :: b != 0 && MAY_COMMIT(r, b) ->
     COMMIT(r, VIEW(r), h) = b;
     printf("replica %d: Commit in view %d for block %d\n", r, VIEW(r), b);
     if
     :: COUNT(COMMIT, VIEW(r), b) + BYZANTINE >= QUORUM ->
        final = final | SET(b);
        printf("block %d is final\n", b);
        assert(NOT_BOTH(1, 2)); /* agreement at height 1, at height 2, and one chain */
        assert(NOT_BOTH(3, 4) && NOT_BOTH(3, 5) && NOT_BOTH(3, 6));
        assert(NOT_BOTH(4, 5) && NOT_BOTH(4, 6) && NOT_BOTH(5, 6));
        assert(NOT_BOTH(1, 5) && NOT_BOTH(1, 6) && NOT_BOTH(2, 3) && NOT_BOTH(2, 4))
     :: else
     fi
  :: else
  fi;
  b = 0
}
#if HEIGHTS == 1
#define COMMIT_ALL(r) commit_one(r, 1)
#else
#define COMMIT_ALL(r) commit_one(r, 1); commit_one(r, 2)
#endif

/* NormalCase._prepared: sticky until one of a higher view replaces it or its height is committed. */
inline collect_one(r, a) {
  STICKY(r, HEIGHT(a)) = CERTIFICATE(VIEW(r), a);
  printf("replica %d: has a certificate of view %d for block %d\n", r, VIEW(r), a);
  COMMIT_ALL(r)
}

/* NormalCase._advance_tip. */
inline deliver_one(a) {
  TIP(me) = a;
  STICKY(me, HEIGHT(a)) = 0;
  printf("replica %d: delivers block %d\n", me, a);
  COMMIT_ALL(me)
}

/* Views._change_to. Whatever makes a replica leave may happen at any time. It leaves one view at a time and never
 * enters one without its ViewChange: another ViewChange is one message more that nobody must receive. */
inline leave() {
  VOTED(me)++;
  CHANGE(me, VOTED(me)) = 1 + TIP(me);
  CHANGE_STICKY(me, VOTED(me), 1) = STICKY(me, 1);
  printf("replica %d: ViewChange to view %d: committed block %d", me, VOTED(me), TIP(me));
  if
  :: STICKY(me, 1) != 0 ->
     printf(", certificate of view %d for block %d", VIEW_OF(STICKY(me, 1)), BLOCK_OF(STICKY(me, 1)))
  :: else
  fi;
#if HEIGHTS == 2
  CHANGE_STICKY(me, VOTED(me), 2) = STICKY(me, 2);
  if
  :: STICKY(me, 2) != 0 ->
     printf(", certificate of view %d for block %d", VIEW_OF(STICKY(me, 2)), BLOCK_OF(STICKY(me, 2)))
  :: else
  fi;
#endif
  printf("\n")
}

/* --- the new view --------------------------------------------------------------------------------------------- */

#ifdef LOWEST_VIEW_WINS
#define BETTER(c, known) (BLOCK_OF(c) != 0 && (BLOCK_OF(known) == 0 || VIEW_OF(c) < VIEW_OF(known)))
#else
#define BETTER(c, known) (BLOCK_OF(c) != 0 && (BLOCK_OF(known) == 0 || VIEW_OF(c) > VIEW_OF(known)))
#endif

inline take_certificate(h, c) {
  if
  :: BETTER(c, best[h]) -> best[h] = c
  :: else
  fi
}

/* select_new_view, first half: the highest base, the best certificate of each height. */
inline merge_view_changes() {
  k = 0;
  do
  :: k < CORRECT ->
     if
     :: mask & SET(k) ->
        if
        :: HEIGHT(CHANGE(k, VOTED(me)) - 1) > HEIGHT(start) -> start = CHANGE(k, VOTED(me)) - 1
        :: else
        fi;
        take_certificate(1, CHANGE_STICKY(k, VOTED(me), 1));
#if HEIGHTS == 2
        take_certificate(2, CHANGE_STICKY(k, VOTED(me), 2))
#endif
     :: else
     fi;
     k++
  :: else -> break
  od;
  k = 0; mask = 0
}

/* Its second half: the chain from there, up to the first gap or parent mismatch; best[] becomes blocks. */
inline select_new_view() {
#ifdef IGNORES_COMMITTED
  start = 0;
#endif
#ifdef FREE_NEW_LEADER
  best[1] = 0; best[2] = 0;
#endif
  best[1] = (HEIGHT(start) == 0 -> BLOCK_OF(best[1]) : 0);
  best[2] = BLOCK_OF(best[2]);
  if
  :: best[2] != 0 && (HEIGHT(start) == 2 || PARENT(best[2]) != (HEIGHT(start) == 1 -> start : best[1])) -> best[2] = 0
  :: else
  fi
}

#define WITH(r) if :: CHANGE(r, VOTED(me)) != 0 -> mask = mask | SET(r); votes++ :: true fi
#define BASE_LIE(b) :: (final & SET(b)) && HEIGHT(b) > HEIGHT(start) -> start = b
#define LIE(v, b) :: v < VOTED(me) && (prepared[v] & SET(b)) && HEIGHT(b) > HEIGHT(start) \
                     && BETTER(CERTIFICATE(v, b), best[HEIGHT(b)]) -> best[HEIGHT(b)] = CERTIFICATE(v, b)

/* open_new_view: any q ViewChanges. Byzantine ones show any commit certificate, and any prepared certificate of a
 * lower view; only what changes the selection is tried. `chosen` is false when they were not q. */
inline choose_view_changes() {
  WITH(0);
  WITH(1);
#if CORRECT > 2
  WITH(2);
#endif
#if CORRECT > 3
  WITH(3);
#endif
#if CORRECT > 4
  WITH(4);
#endif
  chosen = votes + BYZANTINE >= QUORUM && votes <= QUORUM;
  if
  :: chosen -> d_step { true -> merge_view_changes() }
  :: else -> mask = 0
  fi;
  if
  :: chosen && votes < QUORUM ->
     if
     :: true
     BASE_LIE(1)
     BASE_LIE(2)
#if HEIGHTS == 2
     BASE_LIE(3)
     BASE_LIE(4)
     BASE_LIE(5)
     BASE_LIE(6)
#endif
     fi;
     if
     :: true
     LIE(0, 1)
     LIE(0, 2)
#if VIEWS > 2
     LIE(1, 1)
     LIE(1, 2)
#endif
#if VIEWS > 3
     LIE(2, 1)
     LIE(2, 2)
#endif
     fi;
#if HEIGHTS == 2
     if
     :: true
     LIE(0, 3)
     LIE(0, 4)
     LIE(0, 5)
     LIE(0, 6)
#if VIEWS > 2
     LIE(1, 3)
     LIE(1, 4)
     LIE(1, 5)
     LIE(1, 6)
#endif
#if VIEWS > 3
     LIE(2, 3)
     LIE(2, 4)
     LIE(2, 5)
     LIE(2, 6)
#endif
     fi
#endif
  :: else
  fi;
  votes = 0
}

inline forget_choice() {
  start = 0; best[1] = 0; best[2] = 0; chosen = false
}

/* Views._enter, place_candidates. */
inline enter() {
  VIEW(me) = VOTED(me);
  BASE(me) = start;
  AGAIN(me, 1) = best[1];
#if HEIGHTS == 2
  AGAIN(me, 2) = best[2];
#endif
  printf("replica %d: enters view %d on block %d, again blocks %d %d\n", me, VIEW(me), start, best[1], best[2]);
  forget_choice()
}

/* Views._announce: the new leader signs its Prepares for the whole chain at once, also below its own tip. When
 * everybody may be the leader, only those below the tip differ from what it may sign anyway. */
inline announce() {
  h = 1;
  do
  :: h <= HEIGHTS ->
     if
#ifdef ANY_LEADER
     :: AGAIN(me, h) != 0 && h <= HEIGHT(TIP(me)) -> accept(AGAIN(me, h))
#else
     :: AGAIN(me, h) != 0 -> accept(AGAIN(me, h))
#endif
     :: else
     fi;
     h++
  :: else -> break
  od;
  h = 0
}

/* --- one state for many --------------------------------------------------------------------------------------- */

inline exchange(r, s) {
  do
  :: k < ROW ->
     j = row[(r) * ROW + k];
     row[(r) * ROW + k] = row[(s) * ROW + k];
     row[(s) * ROW + k] = j;
     k++
  :: else -> break
  od
}

inline first_difference(r, s) {
  k = 0;
  do
  :: k < ROW && row[(r) * ROW + k] == row[(s) * ROW + k] -> k++
  :: else -> break
  od
}

/* Prepares for x in view u: the certificate exists, or never will. */
#define USELESS ((prepared[u] & SET(x)) || COUNT(PREPARE, u, x) + votes + BYZANTINE < QUORUM)

/* After every transition: what no guard can ever look at again becomes zero, and replicas that differ only in their
 * number are sorted. Not done where a left-out rule keeps old views alive. */
inline tidy() {
#if !defined(VOTES_AFTER_LEAVING) && !defined(AMNESIAC_VOTES)
  if
  :: VIEW(me) != VOTED(me) || HEIGHT(TIP(me)) >= HEIGHT(BASE(me)) -> BASE(me) = 0
  :: else
  fi;
  h = 1;
  do
  :: h <= HEIGHTS ->
     if
     :: VIEW(me) != VOTED(me) || HEIGHT(TIP(me)) >= h || PREPARE(me, VIEW(me), h) != 0 -> AGAIN(me, h) = 0
     :: else
     fi;
     if
     :: VOTED(me) >= LAST_VIEW && (VIEW(me) != VOTED(me) || COMMIT(me, VIEW(me), h) != 0) -> STICKY(me, h) = 0
     :: else
     fi;
     h++
  :: else -> break
  od;
  named = 0;
  u = 0;
  do
  :: u < VIEWS ->
     named = named | prepared[u];
     live = false; entering = false;
     i = 0;
     do
     :: i < CORRECT ->
        live = live || VOTED(i) <= u;
        entering = entering || (VOTED(i) <= u && VIEW(i) < u);
        i++
     :: else -> break
     od;
     h = 1;
     do
     :: h <= HEIGHTS ->
        votes = 0; /* how many may still vote here */
        i = 0;
        do
        :: i < CORRECT -> votes = votes + (VOTED(i) <= u && PREPARE(i, u, h) == 0); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < CORRECT ->
           x = PREPARE(i, u, h);
           if
           :: x != 0 && VOTED(i) > u && !live -> PREPARE(i, u, h) = 0
#ifdef ANY_LEADER
           :: x != 0 && live && VOTED(i) > u && (x == SPENT || USELESS) ->
              PREPARE(i, u, h) = 0
#endif
#ifdef REDUCED
           :: x != 0 && x != SPENT && VOTED(i) == u && PREPARE(i, u, HEIGHTS) != 0 && USELESS ->
              PREPARE(i, u, h) = SPENT
#endif
           :: else
           fi;
           x = PREPARE(i, u, h);
           if
           :: x != 0 && x != SPENT -> named = named | SET(x)
           :: else
           fi;
           x = COMMIT(i, u, h);
           if
           :: x != 0 && VOTED(i) > u && (!live || (final & SET(x))) -> COMMIT(i, u, h) = 0
           :: else
           fi;
           if
           :: u > 0 && !entering -> CHANGE_STICKY(i, u, h) = 0; CHANGE(i, u) = 0
           :: else
           fi;
           i++
        :: else -> break
        od;
        h++
     :: else -> break
     od;
     u++
  :: else -> break
  od;
#ifdef ANY_LEADER
  i = me;
  do
  :: i > 0 ->
     first_difference(i, i - 1);
     if
     :: k < ROW && row[i * ROW + k] < row[(i - 1) * ROW + k] ->
        exchange(i, i - 1);
        printf("replicas %d and %d exchange their numbers\n", i, i - 1);
        i--
     :: else -> break
     fi
  :: else -> break
  od;
  do
  :: i + 1 < CORRECT ->
     first_difference(i, i + 1);
     if
     :: k < ROW && row[i * ROW + k] > row[(i + 1) * ROW + k] ->
        exchange(i, i + 1);
        printf("replicas %d and %d exchange their numbers\n", i, i + 1);
        i++
     :: else -> break
     fi
  :: else -> break
  od;
#endif
#endif
  i = 0; j = 0; k = 0; h = 0; u = 0; x = 0; votes = 0; live = false; entering = false
}

#ifndef REDUCED
/* --- the schedule of all interleavings ------------------------------------------------------------------------ */

inline enter_view() {
  atomic {
    CHANGING && (LEADER_IS_BYZANTINE(VOTED(me)) || LEADER(VOTED(me)) == me) ->
    choose_view_changes();
    if
    :: chosen ->
       d_step {
         select_new_view();
         if
         :: LEADER(VOTED(me)) == me && HEIGHT(start) > HEIGHT(TIP(me)) -> forget_choice() /* Views._is_ready: not yet */
         :: else ->
            enter();
#ifdef ANY_LEADER
            announce();
#else
            if
            :: LEADER(VIEW(me)) == me ->
               announce();
               opened[VIEW(me)] = 1 + BASE(me);
               opened_again[VIEW(me) * HEIGHTS] = AGAIN(me, 1);
#if HEIGHTS == 2
               opened_again[VIEW(me) * HEIGHTS + 1] = AGAIN(me, 2)
#endif
            :: else
            fi;
#endif
            tidy()
         fi
       }
    :: else
    fi
  }
}

/* Views.on_new_view, the one NewView of a correct leader. */
inline follow_leader() {
  d_step {
    CHANGING && opened[VOTED(me)] != 0 ->
    start = opened[VOTED(me)] - 1;
    best[1] = opened_again[VOTED(me) * HEIGHTS];
#if HEIGHTS == 2
    best[2] = opened_again[VOTED(me) * HEIGHTS + 1];
#endif
    enter();
    tidy()
  }
}

/* restart.restore: without its register it says nothing any more. What it said before stays said. With
 * AMNESIAC_VOTES it begins anew; even then it does not vote twice at one place, which makes it weaker than it
 * could be. */
inline lose_disk() {
  d_step {
    !lost ->
    lost = true;
    printf("replica %d: loses its disk\n", me);
    VIEW(me) = 0; TIP(me) = 0; BASE(me) = 0; STICKY(me, 1) = 0; AGAIN(me, 1) = 0;
#if HEIGHTS == 2
    STICKY(me, 2) = 0; AGAIN(me, 2) = 0;
#endif
#ifdef AMNESIAC_VOTES
    VOTED(me) = 0;
#else
    VOTED(me) = VIEWS;
#endif
    tidy()
  }
}

#define PREPARES(b) :: d_step { MAY_PREPARE(b) -> accept(b); tidy() }
#define COLLECTS(b) :: d_step { MAY_COLLECT(me, b) -> collect_one(me, b); tidy() }
#define DELIVERS(b) :: d_step { MAY_DELIVER(b) -> deliver_one(b); tidy() }

active [CORRECT] proctype Replica() {
  byte me = _pid;
  do
  PREPARES(1)
  PREPARES(2)
  COLLECTS(1)
  COLLECTS(2)
  DELIVERS(1)
  DELIVERS(2)
#if HEIGHTS == 2
  PREPARES(3)
  PREPARES(4)
  PREPARES(5)
  PREPARES(6)
  COLLECTS(3)
  COLLECTS(4)
  COLLECTS(5)
  COLLECTS(6)
  DELIVERS(3)
  DELIVERS(4)
  DELIVERS(5)
  DELIVERS(6)
#endif
  :: d_step { VOTED(me) < LAST_VIEW -> leave(); tidy() }
  :: enter_view()
#ifndef ANY_LEADER
  :: follow_leader()
#endif
#ifdef DISK_LOSS
  :: lose_disk()
#endif
  od
}

#else
/* --- the reduced schedule ------------------------------------------------------------------------------------- */

/* Every run can be turned into one of this schedule that has at least the same votes and certificates:
 *
 * - Entering a view without ever voting in it changes nothing for anybody, and entering later, right before the
 *   first vote, leaves more NewViews to choose from. So a replica enters and votes in one step.
 * - With any leader, what it can Prepare at all it can Prepare at once; a further Prepare takes nothing away from
 *   others, nor from itself once it leaves. So it prepares at every height at once, and leaves view 0 only when it
 *   has voted. Waiting for a block to be delivered first is: not having entered yet.
 * - A certificate it will ever take it can take as soon as it exists, so it is taken then or never. In the last
 *   view, where no ViewChange follows, taking it can only help.
 * - Delivering matters for the next vote, Commit or ViewChange of the same replica only: it comes right before. */

#define COULD(r, h) (VIEW(r) == VIEW(me) && PREPARE(r, VIEW(me), h) != 0 && PREPARE(r, VIEW(me), h) != SPENT \
                     && (r == me || !(before & SET(PREPARE(r, VIEW(me), h)))) \
                     && MAY_COLLECT(r, PREPARE(r, VIEW(me), h)))
#define NOW_OR_NEVER(r, h) if :: COULD(r, h) -> mask = mask | SET(r) \
                              :: VIEW(me) != LAST_VIEW || !COULD(r, h) fi

/* Everybody who holds a block that this step prepared takes the certificate or never will. */
inline collect_some(h) {
  NOW_OR_NEVER(0, h);
  NOW_OR_NEVER(1, h);
#if CORRECT > 2
  NOW_OR_NEVER(2, h);
#endif
#if CORRECT > 3
  NOW_OR_NEVER(3, h);
#endif
#if CORRECT > 4
  NOW_OR_NEVER(4, h);
#endif
  d_step {
    k = 0;
    do
    :: k < CORRECT ->
       if
       :: mask & SET(k) -> collect_one(k, PREPARE(k, VIEW(me), h))
       :: else
       fi;
       k++
    :: else -> break
    od;
    mask = 0; k = 0
  }
}

#define NEW_TIP (taken != 0 -> taken : TIP(me))

inline visit() {
  atomic {
    CHANGING || (VOTED(me) == 0 && PREPARE(me, 0, HEIGHTS) == 0) ->
    if
    :: CHANGING ->
       choose_view_changes();
       if
       :: chosen -> d_step { true -> select_new_view() }
       :: else
       fi
    :: else -> chosen = true
    fi;
    if
    :: chosen ->
       if
       :: true
       :: MAY_DELIVER(1) -> taken = 1
       :: MAY_DELIVER(2) -> taken = 2
       fi;
       if
       :: BEHIND(NEW_TIP, start) || (HEIGHT(NEW_TIP) == HEIGHTS && best[1] == 0 && best[2] == 0) ->
          forget_choice(); taken = 0 /* it could not vote */
       :: else ->
          before = prepared[VOTED(me)];
          d_step {
            if
            :: CHANGING -> enter()
            :: else -> chosen = false
            fi;
            if
            :: taken != 0 -> deliver_one(taken); taken = 0
            :: else
            fi;
            announce()
          };
          if
          :: MAY_PREPARE(1) -> d_step { true -> accept(1) }
          :: MAY_PREPARE(2) -> d_step { true -> accept(2) }
          :: else
          fi;
#if HEIGHTS == 2
          if
          :: MAY_PREPARE(3) -> d_step { true -> accept(3) }
          :: MAY_PREPARE(4) -> d_step { true -> accept(4) }
          :: MAY_PREPARE(5) -> d_step { true -> accept(5) }
          :: MAY_PREPARE(6) -> d_step { true -> accept(6) }
          :: else
          fi;
#endif
          collect_some(1);
#if HEIGHTS == 2
          collect_some(2);
#endif
          d_step { true -> before = 0; tidy() }
       fi
    :: else
    fi
  }
}

#define MAY_LEAVE (VOTED(me) < LAST_VIEW && (VOTED(me) > 0 || PREPARE(me, 0, HEIGHTS) != 0))
#define LEAVES(a) :: d_step { MAY_LEAVE && MAY_DELIVER(a) -> deliver_one(a); leave(); tidy() }
#define LEAVES_WITH_TWO(a, c) :: d_step { MAY_LEAVE && MAY_DELIVER(a) && (final & SET(c)) -> \
                                          deliver_one(a); deliver_one(c); leave(); tidy() }
#define DELIVERS_TO_COMMIT(a, c) :: d_step { MAY_DELIVER(a) && VIEW(me) == VOTED(me) && HAS_CERTIFICATE(me, c) \
                                             && COMMIT(me, VIEW(me), 2) == 0 -> deliver_one(a); tidy() }

active [CORRECT] proctype Replica() {
  byte me = _pid;
  do
  :: visit()
  :: d_step { MAY_LEAVE -> leave(); tidy() }
  LEAVES(1)
  LEAVES(2)
#if HEIGHTS == 2
  LEAVES(3)
  LEAVES(4)
  LEAVES(5)
  LEAVES(6)
  LEAVES_WITH_TWO(1, 3)
  LEAVES_WITH_TWO(1, 4)
  LEAVES_WITH_TWO(2, 5)
  LEAVES_WITH_TWO(2, 6)
  DELIVERS_TO_COMMIT(1, 3)
  DELIVERS_TO_COMMIT(1, 4)
  DELIVERS_TO_COMMIT(2, 5)
  DELIVERS_TO_COMMIT(2, 6)
#endif
  od
}
#endif
