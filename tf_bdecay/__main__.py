"""`python -m tf_bdecay`: the same as `tf-bdecay`."""

from tf_bdecay.commands import main

if __name__ == "__main__":
    main()
