# Completion of mplus in fish. Words come as lines, and are never evaluated.
function __mplus_complete
    set -l words (commandline -opc)
    set -l lines (_MPLUS_COMPLETE=fish $words[1] -- $words[2..] (commandline -ct) 2>/dev/null)
    if test "$lines[1]" = files
        __fish_complete_path (commandline -ct)
        return
    end
    for line in $lines[2..]
        echo $line
    end
end
complete --command mplus --no-files --arguments "(__mplus_complete)"
