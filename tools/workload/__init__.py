"""What a network of enterprises does in a day, as numbers (voucher law §18): pure, seeded, without I/O.

    distributions.py    faces, tenors, depths, pieces, draws, outcomes
    acts.py             a stream of intended acts in the law's mix
    lots.py             which ranges of a voucher its holders can still move

An act says what is meant to happen; a driver chooses who does it and signs the commands.
"""
