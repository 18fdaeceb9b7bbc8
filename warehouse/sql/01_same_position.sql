-- Whether two rows are about one position of one run: what tables are joined by.
-- A connection to a single run compares the integers alone (`warehouse/connection.py`): such a join is several times
-- faster than one by the run's name too, and every analysis of influence joins all pairs with their positions.
create or replace macro same_position(run, token_index, other_run, other_token_index) as
run = other_run and token_index = other_token_index;
