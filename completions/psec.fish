# fish completion for psec: the program itself is asked, so that this cannot go stale.
function __psec_candidates
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -l program $before[1]
    set -e before[1]
    for line in (command $program __complete -- $before "$word" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$word"
        else
            echo -- $line
        end
    end
end
complete -c psec -f -k -a '(__psec_candidates)'
