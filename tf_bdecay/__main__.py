"""`python -m tf_bdecay`, which is `tf-bdecay`."""

from tf_bdecay.commands import main

if __name__ == "__main__":
    main()
