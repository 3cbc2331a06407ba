"""Guarding by hand: pre_flight and post_flight, call, guard, check_loop, loop_guard."""
