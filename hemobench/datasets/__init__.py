"""Public and generated data sets behind one door: `opening.open_dataset` gives Cases, `splits` divides them.

To add a data set:

1. a module here with `open_<name>(path, ...) -> Dataset`, whose Cases say by patient what is known and decode nothing
   yet (`nifti_folder` is the shortest to copy);
2. a `DatasetInfo` in `catalogue`: its licence, where to get it, whose patients they are, what it can serve;
3. a line in `_ENTRIES` of `opening`;
4. a layout in `rehearsal`, so that tests open phantoms in exactly its form.
"""
